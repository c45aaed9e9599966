"""How hard an answer is to read, by the lengths of its sentences and words: no dictionary, no language is assumed."""

from __future__ import annotations

from fabula_workloads.metrics.reading import Reading
from fabula_workloads.text.sentences import sentences
from fabula_workloads.text.tokens import tokens_of
from fabula_workloads.text.words import words_of

_LONG = 6
"""Letters above which a word is long."""


def lix(reading: Reading) -> float | None:
    """LIX (Björnsson 1968): words a sentence, plus the percentage of words of more than six letters.

    Easy speech is below 30, newspapers are near 45, law is above 55. None without a word, and where a script has no
    spaces, so that the length of its words is unknown.
    """
    if any(len(words_of(passage)) != len(passage.split()) for passage in reading.passages):
        return None
    said = [tokens_of(sentence) for passage in reading.passages for sentence in sentences(passage)]
    words = [word for sentence in said for word in sentence]
    if not words:
        return None
    return len(words) / sum(map(bool, said)) + 100 * sum(len(word) > _LONG for word in words) / len(words)
