"""Near-duplicate excerpts: of two that share most of their word 5-grams, the first stays.

Two extractions of one episode, or a rerun show, put almost the same dialogue into a dataset twice; one copy would then
teach what the other tests.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator

from fabula_workloads.text.words import words_of

THRESHOLD = 0.7
"""Jaccard similarity of the 5-gram sets from which two excerpts are the same."""
_GRAM = 5


class NearDuplicates:
    """Remembers the excerpts that were kept, in about 45 bytes a word.

    Two sets with a Jaccard similarity of t share one of the first (1 - t) of their elements, in any order that is the
    same for all sets (prefix filtering: Chaudhuri, Ganti and Kaushik 2006). So only those are indexed, and exact
    comparison is left for the few that meet there.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._kept: list[array[int]] = []
        self._holders: dict[int, int | list[int]] = {}
        """5-gram to the excerpt that holds it; a list where there are several, which is rare."""

    def seen(self, text: str) -> bool:
        """Whether a text like this one was kept already; if not, it is kept now."""
        grams = shingles(text)
        ordered = sorted(grams)
        # The small term is for products such as 0.7 * 10 that binary puts above the whole number.
        prefix = ordered[: len(ordered) - math.ceil(self._threshold * len(ordered) - 1e-9) + 1]
        if any(self._similar(grams, self._kept[number]) for number in {*self._sharing(prefix)}):
            return True
        for gram in prefix:
            self._hold(gram, len(self._kept))
        self._kept.append(array("Q", ordered))
        return False

    def _similar(self, grams: set[int], other: array[int]) -> bool:
        common = sum(gram in grams for gram in other)
        return common / (len(grams) + len(other) - common) >= self._threshold

    def _sharing(self, prefix: list[int]) -> Iterator[int]:
        for gram in prefix:
            holders = self._holders.get(gram, ())
            yield from (holders,) if isinstance(holders, int) else holders

    def _hold(self, gram: int, number: int) -> None:
        holders = self._holders.setdefault(gram, number)
        if isinstance(holders, list):
            holders.append(number)
        elif holders != number:
            self._holders[gram] = [holders, number]


def shingles(text: str) -> set[int]:
    """Hashes of the word 5-grams of a text, in lower case and without speaker labels' numbers getting in the way."""
    words = [word for word in words_of(text.lower()) if word != "speaker" and not word.rstrip(":：").isdigit()]
    width = min(_GRAM, len(words))
    return {_hash(" ".join(words[i : i + width])) for i in range(len(words) - width + 1)} if words else set()


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
