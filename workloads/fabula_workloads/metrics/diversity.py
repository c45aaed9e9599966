"""How rich an answer's vocabulary is, in a way that does not depend on how long the answer is.

Distinct-2 falls with length whatever the wording: a longer answer cannot but repeat. HD-D asks instead how
many different words 42 words have that are drawn from the answer, which has one answer for every length.
"""

from __future__ import annotations

from collections import Counter
from math import exp, lgamma

from fabula_workloads.metrics.reading import Reading
from fabula_workloads.text.tokens import tokens_of

DRAWN = 42
"""Words that are drawn, as McCarthy and Jarvis have it."""


def hd_d(reading: Reading) -> float | None:
    """HD-D (McCarthy and Jarvis 2007): expected share of different words among 42 drawn without replacement.

    The hypergeometric distribution gives it exactly, so nothing is drawn. None below 42 words.
    """
    counts = Counter(word for passage in reading.passages for word in tokens_of(passage))
    total = counts.total()
    if total < DRAWN:
        return None
    # Few words have a count of their own, so each count is worked out once.
    return sum(types * (1 - _missed(total, count)) for count, types in Counter(counts.values()).items()) / DRAWN


def _missed(total: int, count: int) -> float:
    """How likely none of `count` occurrences among `total` words is drawn."""
    rest = total - count
    if rest < DRAWN:
        return 0.0
    return exp(lgamma(rest + 1) - lgamma(rest - DRAWN + 1) - lgamma(total + 1) + lgamma(total - DRAWN + 1))
