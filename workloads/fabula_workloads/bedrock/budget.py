"""Dollars that a shard may still spend: reserved at their worst before a call, settled after it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BudgetReached(Exception):
    """The next call could pass the budget, so it is not made. No failure: what is there is kept."""


class Budget:
    """Spending never passes the limit. Safe for many threads."""

    def __init__(self, limit: Callable[[], float | None], used_up: Callable[[], bool], spent: float = 0.0) -> None:
        """`limit`: dollars in all, None without a bound, asked before each call; `used_up`: told from outside."""
        self._limit = limit
        self._used_up = used_up
        self._spent = spent
        self._reserved = 0.0
        self._changed = threading.Condition()

    def reserve(self, usd: float, stopping: threading.Event) -> bool:
        """Set aside what a call may cost. Waits while calls in flight may leave enough; False when told to stop.

        Raises BudgetReached when there is not enough left.
        """
        with self._changed:
            while not stopping.is_set():
                if self._used_up():
                    raise BudgetReached
                limit = self._limit()
                if limit is None or self._spent + self._reserved + usd <= limit:
                    self._reserved += usd
                    return True
                if self._reserved <= 0:
                    raise BudgetReached
                self._changed.wait(0.2)
        return False

    def settle(self, reserved: float, spent: float) -> None:
        """The call ended and cost `spent`."""
        with self._changed:
            # Sums of dollars in binary drift; a rest of 1e-17 must not look like a call in flight.
            self._reserved = max(0.0, round(self._reserved - reserved, 9))
            self._spent += spent
            self._changed.notify_all()
