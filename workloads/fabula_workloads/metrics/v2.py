"""Profile `v2`: the text metrics mended. Labels never count as text, and an answer without turns has no figure.

The denominator of every mean is the answers that could be read; the others are counted as `unparseable`, which a
reader sees beside the mean. A zero would say "very short turns" where the truth is "no dialogue".
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from fabula_workloads.metrics.turns import Turn, tolerant_turns
from fabula_workloads.text.words import words_of


def words(turns: list[Turn]) -> float:
    """Spoken words."""
    return float(sum(turn.num_words for turn in turns))


def distinct_2(turns: list[Turn]) -> float | None:
    """Share of distinct bigrams among all bigrams within turns; None when no turn has two words.

    Case and punctuation of any script are ignored. Bigrams do not cross turns, so neither labels nor their order count.
    """
    bigrams = [pair for turn in turns for pair in pairwise(_tokens(turn.text))]
    return len(set(bigrams)) / len(bigrams) if bigrams else None


def turn_length(turns: list[Turn]) -> float:
    """Mean words of a turn."""
    return sum(turn.num_words for turn in turns) / len(turns)


def switch_rate(turns: list[Turn]) -> float:
    """Changes of speaker for each 1,000 spoken words; two turns of one speaker in a row are no change."""
    switches = sum(before.speaker != after.speaker for before, after in pairwise(turns))
    return switches / words(turns) * 1000


def measure(text: str) -> dict[str, float | None]:
    """Every text metric of the profile for one answer; all None when it holds no turn."""
    turns = tolerant_turns(text)
    if not turns:
        return dict.fromkeys(("words", "distinct-2", "turn-length", "switch-rate", "turns"))
    return {
        "words": words(turns),
        "distinct-2": distinct_2(turns),
        "turn-length": turn_length(turns),
        "switch-rate": switch_rate(turns),
        "turns": float(len(turns)),
    }


def _tokens(text: str) -> list[str]:
    kept = "".join(" " if unicodedata.category(c) == "Pd" else c for c in text.lower())
    return words_of("".join(c for c in kept if unicodedata.category(c)[0] not in "PS"))
