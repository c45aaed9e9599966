"""Runs to look at: each key at most once in the queue and never twice at work, with a delay where one is asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """A set of due keys and a table of delayed ones."""

    def __init__(self) -> None:
        self._due: OrderedDict[K, None] = OrderedDict()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def idle(self) -> bool:
        """Nothing is due and nothing is at work."""
        return not self._due and not self._active

    def add(self, key: K) -> None:
        """Look at the key soon; once more after the present look, if it is at work."""
        if key in self._active:
            self._again.add(key)
            return
        self._due.setdefault(key)
        self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Look at the key after a while; the earliest of several such wishes counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        at = loop.time() + max(0.0, seconds)
        if timer is not None and not timer.cancelled():
            if timer.when() <= at:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(at, self._elapsed, key)

    def _elapsed(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> K:
        """The next key; call `done` after looking at it."""
        while not self._due:
            self._wake.clear()
            await self._wake.wait()
        key, _ = self._due.popitem(last=False)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """The look is over."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Cancel all delays."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
