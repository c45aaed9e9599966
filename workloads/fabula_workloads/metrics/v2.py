"""Profile `v2`: the text metrics mended. Labels never count as text, and an answer without turns has no figure.

The denominator of every mean is the answers that could be read; the others are counted as `unparseable`, which a
reader sees beside the mean. A zero would say "very short turns" where the truth is "no dialogue".
"""

from __future__ import annotations

from itertools import pairwise

from fabula_workloads.metrics.dialogue import Dialogue
from fabula_workloads.metrics.reading import Reading
from fabula_workloads.text.tokens import tokens_of
from fabula_workloads.text.words import num_words


def words(reading: Reading) -> float | None:
    """Words of what is said."""
    return float(sum(map(num_words, reading.passages))) if reading.passages else None


def distinct_2(reading: Reading) -> float | None:
    """Share of distinct bigrams among all bigrams within passages; None when none has two words.

    Case and punctuation of any script are ignored. Bigrams do not cross passages, so neither labels nor their order
    count.
    """
    bigrams = [pair for passage in reading.passages for pair in pairwise(tokens_of(passage))]
    return len(set(bigrams)) / len(bigrams) if bigrams else None


def turn_length(reading: Dialogue) -> float | None:
    """Mean words of a turn."""
    return reading.num_words / len(reading.turns) if reading.turns else None


def switch_rate(reading: Dialogue) -> float | None:
    """Changes of speaker for each 1,000 spoken words; two turns of one speaker in a row are no change."""
    if not reading.turns:
        return None
    switches = sum(before.speaker != after.speaker for before, after in pairwise(reading.turns))
    return switches / reading.num_words * 1000


def num_turns(reading: Dialogue) -> float | None:
    """Turns."""
    return float(len(reading.turns)) if reading.turns else None
