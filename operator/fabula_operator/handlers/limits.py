"""How often somebody may ask: token buckets, of which only so many are remembered."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Buckets:
    """A bucket of `burst` for each key, refilled with `rate` a second; the ones least asked for are forgotten."""

    def __init__(
        self, rate: float, burst: float, remembered: int = 20_000, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._remembered, self._now = rate, burst, remembered, now
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """Key to what was left at which time."""

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: Hashable) -> bool:
        """Take one out of the key's bucket; False when it is empty."""
        now = self._now()
        left, at = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left, now)
        if len(self._left) > self._remembered:
            self._left.popitem(last=False)
        return allowed
