"""How a long answer is cut for CLIP, whose text tower reads 77 tokens: by sentences, and never past the end token.

The published evaluation cut at 77 tokens without the end-of-text token. CLIP then pools the first position, which
sees nothing but the start token, and every long text gets one and the same score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from fabula_workloads.text.sentences import sentences


def windows(passages: Sequence[str], num_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Passages of at most `limit` tokens: consecutive sentences of one of the passages, as many as fit.

    A sentence over the limit is cut between words, and a word over it, as a script without spaces has them, between
    characters; `num_tokens` counts without the start and end tokens.
    """
    return [window for passage in passages for window in _pack(_pieces(passage, num_tokens, limit), num_tokens, limit)]


def _pieces(passage: str, num_tokens: Callable[[str], int], limit: int) -> Iterator[str]:
    for sentence in sentences(passage):
        if num_tokens(sentence) <= limit:
            yield sentence
        else:
            words = (part for word in sentence.split() for part in _cut(word, num_tokens, limit))
            yield from _pack(words, num_tokens, limit)


def _cut(word: str, num_tokens: Callable[[str], int], limit: int) -> Iterator[str]:
    """The word in parts of at most `limit` tokens, each as long as can be; a character is never cut."""
    while num_tokens(word) > limit and len(word) > 1:
        fits, over = 1, len(word)
        while over - fits > 1:
            middle = (fits + over) // 2
            fits, over = (middle, over) if num_tokens(word[:middle]) <= limit else (fits, middle)
        yield word[:fits]
        word = word[fits:]
    yield word


def _pack(pieces: Iterable[str], num_tokens: Callable[[str], int], limit: int) -> Iterator[str]:
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
