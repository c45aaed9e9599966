"""Long transcripts in pieces that a model reads well: cut between turns, overlapping, so that no excerpt is lost."""

from __future__ import annotations

from collections.abc import Sequence

from fabula_workloads.recipes.podcast.dialogue import Turn
from fabula_workloads.text.sentences import passages

CHUNK_CHARACTERS = 40_000
OVERLAP_CHARACTERS = 4_000
_BETWEEN = 2
"""Characters between two written turns."""


def chunks(
    turns: Sequence[Turn], size: int = CHUNK_CHARACTERS, overlap: int = OVERLAP_CHARACTERS
) -> list[tuple[Turn, ...]]:
    """Runs of turns of at most `size` written characters, each beginning about `overlap` before the last one's end.

    A turn longer than a chunk is cut between sentences, and one without sentences between words; nothing is lost.
    """
    pieces = [piece for turn in turns for piece in _pieces(turn, size)]
    lengths = [len(str(piece)) + _BETWEEN for piece in pieces]
    runs: list[tuple[Turn, ...]] = []
    start = 0
    while start < len(pieces):
        stop, length = start, 0
        while stop < len(pieces) and (stop == start or length + lengths[stop] <= size):
            length += lengths[stop]
            stop += 1
        runs.append(tuple(pieces[start:stop]))
        if stop == len(pieces):
            break
        back, shared = stop, 0
        # The overlap leaves room for the next turn, or a chunk would repeat and bring nothing new.
        room = min(overlap, size - lengths[stop])
        while back - 1 > start and shared + lengths[back - 1] <= room:
            back -= 1
            shared += lengths[back]
        start = back
    return runs


def _pieces(turn: Turn, size: int) -> list[Turn]:
    room = size - len(turn.speaker) - 2 - _BETWEEN
    if len(turn.text) <= room:
        return [turn]
    return [Turn(turn.speaker, part) for part in passages(turn.text, room)]
