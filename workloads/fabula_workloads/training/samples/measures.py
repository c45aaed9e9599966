"""What a rank has worked on and waited for, added up: the trainer counts, step boundaries make rates of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Measures:
    """Sums since the rank started."""

    tokens: int = 0
    """Trained on, padding left out."""
    samples: int = 0
    flops: float = 0.0
    """Needed (`models.family.Needed`); 0 where the model's layout is not known."""
    waited: float = 0.0
    """Seconds without a batch at hand."""

    def add(self, batch: dict[str, Any]) -> None:
        """Count a batch, by the figures that its collator gave it."""
        self.tokens += batch["tokens"]
        self.samples += batch["samples"]
        self.flops += batch["flops"]

    def row(self) -> list[float]:
        """The sums as numbers, in a fixed order."""
        return [float(self.tokens), float(self.samples), self.flops, self.waited]


@dataclass(slots=True)
class Timed(Generic[Item]):
    """An iterator whose time goes to `measures.waited`."""

    items: Iterator[Item]
    measures: Measures = field(default_factory=Measures)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        since = time.monotonic()
        try:
            return next(self.items)
        finally:
            self.measures.waited += time.monotonic() - since
