"""Whether a shard leaves the last items to faster ones, so that nobody waits for what a slow one took at the end.

A pace is work a second (tokens, say) with so many items in hand. Those of shards with another number in hand do not
compare: side by side each item is slower, and all together are faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, ValidationError

from fabula_api.base import StatusModel

Amount = Annotated[float, Field(gt=0)]


class Pace(StatusModel):
    """How fast a shard is, as its beat tells it."""

    hands: int
    """Items in hand."""
    rate: Amount
    """Work a second, of all items in hand together."""
    mean: Amount
    """Work of an item."""
    longest: Amount
    """Work of the largest item."""


class Beat(StatusModel):
    """What a shard at work writes now and then. Others see that it changes."""

    beat: int
    pace: Pace | None = None

    @classmethod
    def pace_in(cls, told: object) -> Pace | None:
        """The pace in another shard's beat; None where it tells none."""
        try:
            return cls.model_validate(told).pace
        except ValidationError:
            return None


class Stopwatch:
    """What a shard knows of its own pace: of its speed from items that it ended with the same number in hand."""

    def __init__(self) -> None:
        self._hands = self._ended = self._all = 0
        self._work = self._seconds = self._all_work = self._longest = 0.0

    def holds(self, hands: int) -> None:
        """So many items are in hand from now on."""
        if hands != self._hands:
            self._hands, self._ended, self._work, self._seconds = hands, 0, 0.0, 0.0

    def ended(self, work: float, seconds: float) -> None:
        """One of them was so much work, and took so long from being taken to its end."""
        self._ended, self._work, self._seconds = self._ended + 1, self._work + work, self._seconds + seconds
        self._all, self._all_work, self._longest = self._all + 1, self._all_work + work, max(self._longest, work)

    @property
    def pace(self) -> Pace | None:
        """None as long as nothing is known."""
        if not self._work or not self._seconds or not self._hands:
            return None
        return Pace(
            hands=self._hands,
            rate=self._hands * self._work / self._seconds,
            mean=self._all_work / self._all,
            longest=self._longest,
        )

    @property
    def item_seconds(self) -> float:
        """From taking an item to its end, on average."""
        return self._seconds / self._ended if self._ended else 0.0


def faster_without(free: int, mine: Pace, others: Sequence[Pace]) -> bool:
    """Whether the others will have ended `free` items sooner without this shard's help. Nobody knows how much work is
    next: a long item, begun by the fastest of them when all before it are begun, should end before this shard ends one
    that it takes now."""
    alike = [pace for pace in others if pace.hands == mine.hands]
    if not alike:
        return False
    seen = [mine, *alike]
    longest, mean = max(pace.longest for pace in seen), sum(pace.mean for pace in seen) / len(seen)
    begun = free * mean / sum(pace.rate for pace in alike)
    return longest / mine.rate > begun + longest / max(pace.rate for pace in alike)


def share(mine: Pace | None, others: Sequence[Pace]) -> float:
    """Part of what is one shard's usual portion that a slow one takes: 1 of one that is as fast as the mean."""
    rates = [pace.rate for pace in others if mine is not None and pace.hands == mine.hands]
    if mine is None or not rates:
        return 1.0
    return min(1.0, mine.rate * (1 + len(rates)) / (mine.rate + sum(rates)))
