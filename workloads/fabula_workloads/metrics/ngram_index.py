"""Which runs of words of a text stand in a corpus: an index of hashed word n-grams, 8 bytes each.

Three million words of training texts take 24 MB and a few seconds. Two n-grams have one hash by chance once in 10^12
lookups, so that nothing is compared again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fabula_workloads.text.tokens import tokens_of

WORDS = 8
"""Words of an n-gram: shorter ones are common phrases."""
Hashes = npt.NDArray[np.uint64]
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


class NgramIndex:
    """All n-grams of a corpus."""

    def __init__(self, texts: Iterable[str], words: int = WORDS) -> None:
        self.words = words
        self._ids: dict[str, int] = {}
        hashes = [self._hashes(tokens_of(text), grow=True) for text in texts]
        self._known = np.unique(np.concatenate([*hashes, np.zeros(0, dtype=np.uint64)]))

    def __len__(self) -> int:
        """Different n-grams."""
        return len(self._known)

    def contains(self, tokens: Sequence[str]) -> npt.NDArray[np.bool_]:
        """For each n-gram of a text, in order, whether it stands in the corpus. Empty for a text that has none."""
        asked = self._hashes(tokens, grow=False)
        if not len(self._known):
            return np.zeros(len(asked), dtype=np.bool_)
        at = np.searchsorted(self._known, asked)
        return np.asarray(self._known[np.minimum(at, len(self._known) - 1)] == asked)

    def _hashes(self, tokens: Sequence[str], *, grow: bool) -> Hashes:
        """A hash for each n-gram. Words that the corpus does not have get numbers that none of it has."""
        count = len(tokens) - self.words + 1
        if count < 1:
            return np.zeros(0, dtype=np.uint64)
        ids = self._ids
        if grow:
            numbered = [ids.setdefault(token, len(ids) + 1) for token in tokens]
        else:
            numbered = [ids.get(token, 0) for token in tokens]
        numbers = np.asarray(numbered, dtype=np.uint64)
        mixed = (numbers + np.uint64(1)) * _MIX
        mixed ^= mixed >> np.uint64(29)
        hashes = np.zeros(count, dtype=np.uint64)
        for place in range(self.words):
            hashes = hashes * _BASE + mixed[place : place + count]
            hashes ^= hashes >> np.uint64(32)
        return hashes
