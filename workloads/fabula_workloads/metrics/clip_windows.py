"""How a long answer is cut for CLIP, whose text tower reads 77 tokens: by sentences, and never past the end token.

The published evaluation cut at 77 tokens without the end-of-text token. CLIP then pools the first position, which
sees nothing but the start token, and every long text gets one and the same score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+")


def sentences(text: str) -> list[str]:
    """Sentences of a turn, split behind `.`, `!`, `?` or an ellipsis."""
    return [part for part in (piece.strip() for piece in _SENTENCE_END.split(text)) if part]


def windows(turns: Sequence[str], num_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Passages of at most `limit` tokens: consecutive sentences of one turn, as many as fit.

    A sentence over the limit is cut between words; `num_tokens` counts without the start and end tokens.
    """
    return [window for turn in turns for window in _pack(_pieces(turn, num_tokens, limit), num_tokens, limit)]


def _pieces(turn: str, num_tokens: Callable[[str], int], limit: int) -> Iterator[str]:
    for sentence in sentences(turn):
        if num_tokens(sentence) <= limit:
            yield sentence
        else:
            yield from _pack(sentence.split(), num_tokens, limit)


def _pack(pieces: Iterator[str] | Sequence[str], num_tokens: Callable[[str], int], limit: int) -> Iterator[str]:
    held = ""
    for piece in pieces:
        joined = f"{held} {piece}" if held else piece
        if held and num_tokens(joined) > limit:
            yield held
            held = piece
        else:
            held = joined
    if held:
        yield held
