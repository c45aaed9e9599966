"""Which shows are for validation: decided by a hash of the show, so that no show is ever on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def validation_podcasts(podcasts: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """The shows of the validation split: about `share` of them, the same ones whatever order they come in.

    Training always keeps a show; with a share above 0 and two shows or more, validation has one too.
    """
    ordered = sorted(set(podcasts), key=lambda podcast: _fraction(podcast, seed))
    if share <= 0 or len(ordered) < 2:
        return frozenset()
    chosen = [podcast for podcast in ordered if _fraction(podcast, seed) < share]
    return frozenset((chosen or ordered[:1])[: len(ordered) - 1])


def _fraction(podcast: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{podcast}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
