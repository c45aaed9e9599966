"""Does an answer do what was asked beside its format: is it as long as it should be, does it betray the pictures?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from fabula_api.asked import Asked
from fabula_workloads.metrics.reading import Reading
from fabula_workloads.text.words import num_words


def length_compliance(reading: Reading, asked: Asked) -> float | None:
    """1 where the answer has as many words as was asked for, labels included, else 0; the mean is the share that obeys.

    None where no length is asked for. An answer that cannot be read counts: it has its words all the same.
    """
    if asked.words is None:
        return None
    return float(asked.words.min <= num_words(reading.text) <= asked.words.max)


def picture_words(reading: Reading, asked: Asked) -> float | None:
    """How often the answer has one of the words that betray the pictures; None where none is to be avoided."""
    if not asked.avoid:
        return None
    return float(len(_pattern(tuple(asked.avoid)).findall(reading.text)))


def picture_free(reading: Reading, asked: Asked) -> float | None:
    """1 where the answer has none of those words, else 0; the mean is the share of answers without."""
    hits = picture_words(reading, asked)
    return None if hits is None else float(hits == 0)


@lru_cache(maxsize=64)
def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Whole words of any case; the longest first, so that `photo album` is not taken for `photo`."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
