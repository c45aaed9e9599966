"""Which shard does what of a list that all take from, and which of them counts it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence, Set
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Holder:
    """Who claims: one start of one shard of a run."""

    run: str
    """Uid of the run: another one may work in the same folder at the same time."""
    shards: int
    shard: int
    start: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def place(self) -> str:
        """The shard, whichever of its starts: the one before is dead when the next begins."""
        return f"{self.run}.{self.shards}.{self.shard}"

    @property
    def name(self) -> str:
        """This start of it."""
        return f"{self.place}.{self.start}"


def in_order(items: Sequence[str], shard: int, shards: int) -> list[str]:
    """The order in which a shard looks for work: its own share first, then the others' from their end.

    So shards rarely reach for the same item, and `items` should begin with those that take longest.
    """
    mine = list(items[shard::shards])
    return mine + [item for place, item in reversed(list(enumerate(items))) if place % shards != shard]


def share_of(items: Sequence[str], me: Holder) -> frozenset[str]:
    """What the shard does where all are equally fast."""
    return frozenset(items[me.shard :: me.shards])


def portion(free: int, shards: int, most: int, part: float = 1.0) -> int:
    """How many items to take at once: near the end no more than the others need to have work as well. A slow shard
    takes a `part` of that."""
    return max(1, min(most, math.ceil(free * part / shards)))


def counts_for(me: Holder, share: Set[str], item: str, by: str) -> bool:
    """Whether this shard has to count an outcome, so that each is counted by one shard of the run.

    `by` is the place of the shard that made it. What another run made, or this one with another number of shards,
    counts for the shard in whose share it is.
    """
    ours = by.startswith(f"{me.run}.{me.shards}.")
    return by == me.place if ours else item in share
