"""Words of a text, also where a script writes them without spaces.

Text is cut at white space. In Chinese and Japanese every character counts as a word, as their own word counts have it;
in Thai, Lao, Khmer and Burmese, whose words cannot be told apart without a dictionary, every four characters do.
Punctuation belongs to the word before it. Text in other scripts is what `str.split` makes of it.
"""

from __future__ import annotations

import re

_ONE = (
    "\u3005-\u3007\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_FOUR = "\u0e01-\u0edf\u1000-\u109f\u1780-\u17d3"
_WITHOUT_SPACES = re.compile(f"[{_ONE}{_FOUR}]")
_PIECE = re.compile(f"[{_ONE}][^\\w\\s]*|[{_FOUR}]{{1,4}}[^\\w\\s{_FOUR}]*|[^{_ONE}{_FOUR}\\s]+")


def words_of(text: str) -> list[str]:
    """The words, in order."""
    if text.isascii() or not _WITHOUT_SPACES.search(text):
        return text.split()
    return [
        piece
        for token in text.split()
        for piece in (_PIECE.findall(token) if _WITHOUT_SPACES.search(token) else (token,))
    ]


def first_words(text: str, count: int) -> str:
    """The text up to the end of its word number `count`, spaced as it is."""
    stop = 0
    for word in words_of(text)[:count]:
        stop = text.index(word, stop) + len(word)
    return text[:stop]


def num_words(text: str) -> int:
    """How many there are."""
    return len(words_of(text))
