"""Sentences of a text in any script, and cuts between them where a text is longer than it may be."""

from __future__ import annotations

import re

from fabula_workloads.text.words import words_of

_CLOSING = "\"'”’)\\]」』）】》"
_END = re.compile(
    # Latin marks end a sentence before white space, for they stand in numbers and names too; those of other scripts
    # (CJK, Arabic, Devanagari, Armenian, Ethiopic, Burmese, Khmer) end it wherever they stand.
    rf"(?<=[.!?…])[{_CLOSING}]*\s+|(?<=[。！？｡．؟۔।॥։።၊။។៕])[{_CLOSING}]*\s*"
)


def sentences(text: str) -> list[str]:
    """Sentences of a turn, split behind the marks that end one in any script; a closing quote at an end is dropped."""
    return [part for part in (piece.strip() for piece in _END.split(text)) if part]


def passages(text: str, size: int) -> list[str]:
    """The text in parts of at most `size` characters, together all of it but white space at the cuts.

    Cut behind the last sentence that fits; where none ends, at white space, then between words as `text.words` has
    them, and only a word longer than a part is cut itself.
    """
    parts: list[str] = []
    while len(text) > size:
        stop = _last_cut(text, size)
        parts.append(text[:stop].rstrip())
        text = text[stop:].lstrip()
    return [*parts, text] if text else parts


def _last_cut(text: str, size: int) -> int:
    """Where to cut, from 1 to `size`. One character more is looked at, which may be the white space to cut at."""
    head = text[: size + 1]
    if ends := [end for match in _END.finditer(head) if (end := min(match.end(), size)) > 0]:
        return ends[-1]
    if (space := head.rstrip().rfind(" ")) > 0:
        return space
    words = words_of(head)
    return size + 1 - len(words[-1]) if len(words) > 1 else size
