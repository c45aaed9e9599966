"""Profile `v2`: the text metrics mended. Labels never count as text, and an answer without turns has no figure.

The denominator of every mean is the answers that could be read; the others are counted as `unparseable`, which a
reader sees beside the mean. A zero would say "very short turns" where the truth is "no dialogue".
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from fabula_workloads.metrics.reading import Reading
from fabula_workloads.metrics.turns import Turn
from fabula_workloads.text.words import words_of


def words(reading: Reading) -> float | None:
    """Spoken words."""
    return float(_num_words(reading.turns)) if reading.turns else None


def distinct_2(reading: Reading) -> float | None:
    """Share of distinct bigrams among all bigrams within turns; None when no turn has two words.

    Case and punctuation of any script are ignored. Bigrams do not cross turns, so neither labels nor their order count.
    """
    bigrams = [pair for turn in reading.turns for pair in pairwise(_tokens(turn.text))]
    return len(set(bigrams)) / len(bigrams) if bigrams else None


def turn_length(reading: Reading) -> float | None:
    """Mean words of a turn."""
    return _num_words(reading.turns) / len(reading.turns) if reading.turns else None


def switch_rate(reading: Reading) -> float | None:
    """Changes of speaker for each 1,000 spoken words; two turns of one speaker in a row are no change."""
    if not reading.turns:
        return None
    switches = sum(before.speaker != after.speaker for before, after in pairwise(reading.turns))
    return switches / _num_words(reading.turns) * 1000


def num_turns(reading: Reading) -> float | None:
    """Turns."""
    return float(len(reading.turns)) if reading.turns else None


def _num_words(turns: list[Turn]) -> int:
    return sum(turn.num_words for turn in turns)


def _tokens(text: str) -> list[str]:
    kept = "".join(" " if unicodedata.category(c) == "Pd" else c for c in text.lower())
    return words_of("".join(c for c in kept if unicodedata.category(c)[0] not in "PS"))
