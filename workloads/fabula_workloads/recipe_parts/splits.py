"""Which groups of samples are for validation: decided by a hash of the group, so that none is ever on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def validation_groups(groups: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """The groups (shows, films) of the validation split: about `share` of them, whatever order they come in.

    Training always keeps one; with a share above 0 and two groups or more, validation has one too.
    """
    ordered = sorted(set(groups), key=lambda group: _fraction(group, seed))
    if share <= 0 or len(ordered) < 2:
        return frozenset()
    chosen = [group for group in ordered if _fraction(group, seed) < share]
    return frozenset((chosen or ordered[:1])[: len(ordered) - 1])


def _fraction(group: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
