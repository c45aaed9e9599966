"""Which of a benchmark's questions are asked: a fair draw, in an order that does not depend on it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def drawn(found: Sequence[T], count: int, seed: int) -> list[T]:
    """At most `count` of them, in their order."""
    if len(found) <= count:
        return list(found)
    chosen = random.Random(seed).sample(range(len(found)), count)  # noqa: S311 - a reproducible draw, not a secret
    return [found[place] for place in sorted(chosen)]
