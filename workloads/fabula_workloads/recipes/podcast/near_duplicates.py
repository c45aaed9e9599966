"""Near-duplicate excerpts: of two that share most of their word 5-grams, the first stays.

Two extractions of one episode, or a rerun show, put almost the same dialogue into a dataset twice; one copy would then
teach what the other tests.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

THRESHOLD = 0.7
"""Jaccard similarity of the 5-gram sets from which two excerpts are the same."""
_GRAM = 5


class NearDuplicates:
    """Remembers the excerpts that were kept. An index from 5-gram to excerpts spares comparing all pairs."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._sizes: list[int] = []
        self._holders: defaultdict[int, list[int]] = defaultdict(list)

    def seen(self, text: str) -> bool:
        """Whether a text like this one was kept already; if not, it is kept now."""
        grams = shingles(text)
        shared = Counter(holder for gram in grams for holder in self._holders.get(gram, ()))
        for holder, common in shared.items():
            if common / (len(grams) + self._sizes[holder] - common) >= self._threshold:
                return True
        for gram in grams:
            self._holders[gram].append(len(self._sizes))
        self._sizes.append(len(grams))
        return False


def shingles(text: str) -> set[int]:
    """Hashes of the word 5-grams of a text, in lower case and without speaker labels' numbers getting in the way."""
    words = [word for word in text.lower().split() if word != "speaker" and not word.rstrip(":").isdigit()]
    width = min(_GRAM, len(words))
    return {_hash(" ".join(words[i : i + width])) for i in range(len(words) - width + 1)} if words else set()


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
