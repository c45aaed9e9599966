"""Profile `paper-v1`: the published text metrics to the letter, so that the published figures come out again.

Known defects, kept on purpose: label words count as text, an answer without a readable turn scores zero instead of
being set apart, and the switch rate counts turns rather than changes of speaker.
"""

from __future__ import annotations

import string
from itertools import pairwise

from fabula_workloads.metrics.dialogue import Dialogue, Turn
from fabula_workloads.metrics.reading import Reading

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words(reading: Reading) -> float:
    """Whitespace-separated words of the whole text, labels included."""
    return float(len(reading.text.split()))


def distinct_2(reading: Reading) -> float:
    """Share of distinct bigrams among all, lower-cased, without ASCII punctuation, across turns; 0 below two words."""
    tokens = reading.text.lower().translate(_NO_PUNCTUATION).split()
    bigrams = list(pairwise(tokens))
    return len(set(bigrams)) / len(bigrams) if bigrams else 0.0


def turn_length(reading: Dialogue) -> float:
    """Mean words of a turn; 0 without turns."""
    return _spoken(reading.turns) / len(reading.turns) if reading.turns else 0.0


def switch_rate(reading: Dialogue) -> float:
    """(turns - 1) for each 1,000 spoken words, whoever speaks; 0 without turns."""
    spoken = _spoken(reading.turns)
    return (len(reading.turns) - 1) / spoken * 1000 if spoken else 0.0


def num_turns(reading: Dialogue) -> float:
    """Turns."""
    return float(len(reading.turns))


def _spoken(turns: list[Turn]) -> int:
    """Words between white space, as published, in every script."""
    return sum(len(turn.text.split()) for turn in turns)
