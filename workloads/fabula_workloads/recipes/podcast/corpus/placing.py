"""The order of an episode's turns: by what the records say of it, not by where they happen to stand in a file.

A dialogue whose turns are out of order, or said twice, reads like one, and nothing later would tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_LEAST_REPEATED = 4
"""Turns that must come again in the same order to be a copy, where no record tells its place."""

_OVERLAP_SECONDS = 2.0
"""People talk at once: a turn may begin so long before the one that is written before it."""


@dataclass(frozen=True, slots=True)
class Said:
    """A turn as the source has it, in the file's order."""

    speaker: str
    text: str
    count: float | None = None
    """Its number in the episode, where the record has one."""
    start: float | None = None
    """When it begins, in seconds, where the record says so."""


@dataclass
class Placed:
    """The turns in the order in which they were said."""

    turns: list[Said] = field(default_factory=list)
    doubles: int = 0
    """Turns that were there before, and are left out."""
    moved: bool = False
    """Whether the file has them in another order."""
    doubtful: bool = False
    """Whether the start times contradict the order that was taken."""


def place(said: Sequence[Said]) -> Placed:
    """By number where every turn has one, else by start time where every turn has one, else as the file has them.

    Turns of one place and one text are one turn. Where nothing tells places, a sequence of four turns or more that is
    said again as a whole is a copy.
    """
    if said and all(turn.count is not None for turn in said):
        ordered = sorted(said, key=lambda turn: (turn.count or 0, turn.start or 0))
    elif said and all(turn.start is not None for turn in said):
        ordered = sorted(said, key=lambda turn: turn.start or 0)
    else:
        kept = _once(said)
        return Placed(kept, len(said) - len(kept), False, _goes_back(kept))
    kept = list(dict.fromkeys(ordered))
    once = list(dict.fromkeys(said))
    return Placed(kept, len(ordered) - len(kept), kept != once, _goes_back(kept))


def _goes_back(turns: Sequence[Said]) -> bool:
    starts = [turn.start for turn in turns if turn.start is not None]
    return any(after < before - _OVERLAP_SECONDS for before, after in pairwise(starts))


def _once(said: Sequence[Said]) -> list[Said]:
    """The turns without copies of the whole, or of each of them in its place."""
    turns = list(said)
    for times in range(2, 1 + len(turns) // _LEAST_REPEATED):
        if len(turns) % times == 0:
            length = len(turns) // times
            if turns == turns[:length] * times:
                return turns[:length]
            if turns == [turn for turn in turns[::times] for _ in range(times)]:
                return turns[::times]
    return turns
