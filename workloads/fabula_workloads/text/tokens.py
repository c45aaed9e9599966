"""Words to be compared: lower-cased, without the punctuation and symbols of any script."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from fabula_workloads.text.words import words_of


class _Bare(dict[int, str]):
    """What becomes of each character, told once: dashes part words, other punctuation and symbols go."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = " " if kind == "Pd" else "" if kind[0] in "PS" else chr(code)
        return self[code]


_BARE = _Bare()


def tokens_of(text: str) -> list[str]:
    """The words of a text, so that `Well-known!` and `well known` are the same two."""
    return list(_tokens(text))


@lru_cache(maxsize=4_096)
def _tokens(text: str) -> tuple[str, ...]:
    """Several metrics ask for the words of one passage, one after the other."""
    return tuple(words_of(text.lower().translate(_BARE)))
