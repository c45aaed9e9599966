"""Objects to look at: each key at most once in the queue and never twice at work, with a delay where one is asked for.

What somebody asks comes before what happens, that before what is only to be told, and what is only looked at again
comes last: a new object never waits for ten thousand others to say how they are, nor for a resync of them.
Of equal urgency, tenants take turns: who has 5,000 objects delays another's new one by one look.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
TURN = 16
"""Of so many keys taken one is the one that has waited longest, so that a lasting burst keeps nothing out for ever."""


FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 0.1, 30.0
"""Before a look that failed is repeated: twice as long each time."""


class Urgency(IntEnum):
    """Why a key is to be looked at, the most urgent first."""

    ASKED = 0
    """Somebody made it, or asks something else of it than was answered."""
    CHANGED = 1
    """Something happened to it, or the time has come when something is to be done for it."""
    NOTED = 2
    """There may be something to tell of it, and nothing is to be done as far as is known."""
    RESYNCED = 3
    """It was read again, and nothing is known to have happened."""


class Lane(Generic[K]):
    """Keys of one urgency: tenants in turn, the keys of each in the order in which they are due."""

    def __init__(self, tenant: Callable[[K], Hashable]) -> None:
        self._tenant = tenant
        self._turns: OrderedDict[Hashable, OrderedDict[K, float]] = OrderedDict()
        """Of each tenant the keys, and since when they are due."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: K) -> bool:
        return key in self._turns.get(self._tenant(key), ())

    def add(self, key: K) -> None:
        """Put the key at the end of its tenant's, unless it is in already."""
        if key not in self:
            self._turns.setdefault(self._tenant(key), OrderedDict())[key] = time.monotonic()
            self._count += 1

    def discard(self, key: K) -> None:
        """Take the key out, if it is in."""
        if key in self:
            tenant = self._tenant(key)
            del self._turns[tenant][key]
            self._count -= 1
            if not self._turns[tenant]:
                del self._turns[tenant]

    def oldest(self) -> float | None:
        """Since when the key that has waited longest is due, on the monotonic clock; None where none is."""
        return min((next(iter(keys.values())) for keys in self._turns.values()), default=None)

    def pop(self) -> K:
        """Take the next key out; its tenant's next turn comes after everybody else's."""
        tenant, keys = self._turns.popitem(last=False)
        key, _ = keys.popitem(last=False)
        self._count -= 1
        if keys:
            self._turns[tenant] = keys
        return key


class WorkQueue(Generic[K]):
    """A lane of due keys for each urgency, and a table of delayed ones."""

    def __init__(self, tenant: Callable[[K], Hashable] = lambda key: None) -> None:
        """`tenant` says whose a key is; without it, all are one tenant's."""
        self._lanes: tuple[Lane[K], ...] = tuple(Lane(tenant) for _ in Urgency)
        self._active: set[K] = set()
        self._again: dict[K, Urgency] = {}
        self._timers: dict[tuple[K, Urgency], asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._taken = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def oldest_seconds(self) -> float:
        """How long the key that has waited longest is due; 0 where none is."""
        since = [at for lane in self._lanes if (at := lane.oldest()) is not None]
        return max(0.0, time.monotonic() - min(since)) if since else 0.0

    @property
    def idle(self) -> bool:
        """Nothing is due and nothing is at work."""
        return not len(self) and not self._active

    def add(self, key: K, urgency: Urgency = Urgency.CHANGED) -> None:
        """Look at the key soon; once more after the present look, if it is at work."""
        if key in self._active:
            self._again[key] = min(urgency, self._again.get(key, urgency))
            return
        if any(key in lane for lane in self._lanes[:urgency]):
            return
        for lane in self._lanes[urgency + 1 :]:
            lane.discard(key)
        self._lanes[urgency].add(key)
        self._wake.set()

    def add_after(self, key: K, seconds: float, urgency: Urgency = Urgency.CHANGED) -> None:
        """Look at the key after a while; of several such wishes of one urgency the earliest counts."""
        if seconds <= 0:
            self.add(key, urgency)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get((key, urgency))
        at = loop.time() + seconds
        if timer is not None and not timer.cancelled():
            if timer.when() <= at:
                return
            timer.cancel()
        self._timers[key, urgency] = loop.call_at(at, self._elapsed, key, urgency)

    def look_again(self, key: K, seconds: float | None, urgency: Urgency = Urgency.CHANGED) -> None:
        """Look at the key after a while and, of this urgency, not before, whatever was wished so far; None: not at
        all."""
        if (timer := self._timers.pop((key, urgency), None)) is not None:
            timer.cancel()
        if seconds is not None:
            self.add_after(key, seconds, urgency)

    def _elapsed(self, key: K, urgency: Urgency) -> None:
        self._timers.pop((key, urgency), None)
        self.add(key, urgency)

    async def get(self) -> K:
        """The next key; call `done` after looking at it."""
        while not len(self):
            self._wake.clear()
            await self._wake.wait()
        self._taken += 1
        due = [lane for lane in self._lanes if len(lane)]
        # Empty lanes are left out, so each has one that is oldest.
        lane = due[0] if self._taken % TURN else min(due, key=lambda lane: lane.oldest() or 0.0)
        key = lane.pop()
        self._active.add(key)
        return key

    def done(self, key: K, *, failed: bool = False) -> None:
        """The look is over; one that failed is repeated after a growing pause."""
        self._active.discard(key)
        urgency = self._again.pop(key, None)
        if failed:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            self.add_after(key, min(FIRST_BACKOFF_SECONDS * 2.0 ** (count - 1), LAST_BACKOFF_SECONDS))
            return
        self._failures.pop(key, None)
        if urgency is not None:
            self.add(key, urgency)

    def close(self) -> None:
        """Cancel all delays."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
