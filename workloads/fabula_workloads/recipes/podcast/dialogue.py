"""Turns of a dialogue: labels in order of appearance, back-channels, merging, and how a dialogue is written out.

The choices are the build's (`podcast.source.minTurnCharacters`, `mergeTurns`, `backChannels`), since each of them
changes turn length and switch rate, which is what a dialogue model is judged by.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from fabula_workloads.text.words import num_words

_WORDS = re.compile(r"(?:[^\W\d_]|')+")
"""Of any script: what is said beside an "ok" in another one is no back-channel."""
_CONTROL = dict.fromkeys(i for i in range(0x20) if chr(i) not in "\t\n\r\x0b\x0c") | {0x7F: None}
_MUSIC = "[music]"
_BACK_CHANNEL_WORDS = 4
_ACKNOWLEDGING_WORDS = """
yeah yes yep yup right okay ok sure exactly totally absolutely definitely indeed true correct nice cool great wow mhm mm
mmm hmm hm uh huh uhhuh ah aha oh ooh ya yea gosh really of course i see got it gotcha no nope agreed
"""
_ACKNOWLEDGING = frozenset(_ACKNOWLEDGING_WORDS.split())


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says at a stretch. `speaker` is `Speaker 1`, `Speaker 2`, ..."""

    speaker: str
    text: str

    def __str__(self) -> str:
        return f"{self.speaker}: {self.text}"

    @property
    def words(self) -> int:
        """Words, the label's two included."""
        return len(self.speaker.split()) + num_words(self.text)


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """Which turns are kept, and whether neighbours of one speaker become one."""

    min_characters: int = 0
    merge: bool = True
    back_channels: Literal["keep", "drop"] = "keep"


@dataclass
class Dialogue:
    """The kept turns of an episode, and how many were dropped for which reason."""

    turns: list[Turn] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def written(turns: Iterable[Turn]) -> str:
    """The dialogue as text: `Speaker 1: ...`, a blank line between turns."""
    return "\n\n".join(str(turn) for turn in turns)


def tidy(text: str) -> str:
    """One line of valid Unicode: runs of white space become a space, control characters and lone surrogates go."""
    clean = text.translate(_CONTROL).encode("utf-8", "ignore").decode()
    return " ".join(clean.split())


def is_back_channel(text: str) -> bool:
    """Whether a turn only acknowledges ("Yeah.", "Right, of course.")."""
    words = _WORDS.findall(text.lower())
    return 0 < len(words) <= _BACK_CHANNEL_WORDS and all(word in _ACKNOWLEDGING for word in words)


def drop_reason(text: str, policy: TurnPolicy) -> str | None:
    """Why a tidied turn is dropped; None when it stays."""
    if not text:
        return "Empty"
    if text.lower().startswith(_MUSIC):
        return "Music"
    if len(text) < policy.min_characters:
        return "Short"
    if policy.back_channels == "drop" and is_back_channel(text):
        return "BackChannel"
    return None


def assemble(said: Iterable[tuple[str, str]], policy: TurnPolicy) -> Dialogue:
    """A dialogue from (speaker key, text) in order. Speakers are numbered as they first appear among the kept turns."""
    dialogue = Dialogue()
    labels: dict[str, str] = {}
    for key, text in _merged(_kept(said, policy, dialogue.dropped), policy.merge):
        label = labels.setdefault(key, f"Speaker {len(labels) + 1}")
        dialogue.turns.append(Turn(label, text))
    return dialogue


def _kept(said: Iterable[tuple[str, str]], policy: TurnPolicy, dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    for key, text in said:
        clean = tidy(text)
        if reason := drop_reason(clean, policy):
            dropped[reason] += 1
        else:
            yield key, clean


def _merged(said: Iterable[tuple[str, str]], merge: bool) -> Iterator[tuple[str, str]]:
    if not merge:
        yield from said
        return
    current: str | None = None
    texts: list[str] = []
    for key, text in said:
        if key != current and current is not None:
            yield current, " ".join(texts)
            texts = []
        current = key
        texts.append(text)
    if current is not None:
        yield current, " ".join(texts)
