"""How long a provider's reply may take: the worker waits so long for it, and a pod that is to end is given as long."""

from __future__ import annotations

FIRST_WORD_SECONDS = 60
"""Longest silence before a reply begins, or until a picture is drawn."""
SLOWEST_TOKENS_PER_SECOND = 15


def longest_reply_seconds(max_tokens: int = 0) -> float:
    """Seconds until a reply of `max_tokens` is whole, at the slowest."""
    return FIRST_WORD_SECONDS + max_tokens / SLOWEST_TOKENS_PER_SECOND
