"""ROUGE-L: the longest sequence of words that two sentences have in common, in order but not side by side.

Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004; as the published evaluations of captions weigh it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

BETA = 1.2
"""Recall counts for beta squared times as much as precision."""


def rouge_l(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """The F measure of a sentence, from 0 to 1. A sentence without words is read as one empty word, as published."""
    said, meant = prediction or [""], reference or [""]
    common = common_words(said, meant)
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(meant)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def common_words(said: Sequence[str], meant: Sequence[str]) -> int:
    """Length of the longest common subsequence, by whole numbers as sets of places (Hyyrö, 2004)."""
    places: defaultdict[str, int] = defaultdict(int)
    for place, word in enumerate(said):
        places[word] |= 1 << place
    every = (1 << len(said)) - 1
    free = every
    for word in meant:
        met = free & places[word]
        free = ((free + met) | (free - met)) & every
    return len(said) - free.bit_count()
