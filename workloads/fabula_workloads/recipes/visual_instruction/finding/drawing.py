"""Which of a benchmark's questions are asked: a fair draw, in an order that does not depend on it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def drawn(items: Sequence[T], count: int, seed: int) -> list[T]:
    """At most `count` of them, in their order."""
    if len(items) <= count:
        return list(items)
    chosen = random.Random(seed).sample(range(len(items)), count)  # noqa: S311 - a reproducible draw, not a secret
    return [items[place] for place in sorted(chosen)]
