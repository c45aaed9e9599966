"""A queue of keys: each key is worked on by one worker at a time, and a key added twice is worked on once."""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_BACKOFF_SECONDS = 0.1
LAST_BACKOFF_SECONDS = 30.0


class WorkQueue(Generic[Key]):
    """Keys to look at, now or later."""

    def __init__(self) -> None:
        self._ready: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._signal = asyncio.Event()

    def add(self, key: Key) -> None:
        """Look at the key as soon as a worker is free; after the present look if one is under way."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._signal.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at the key in `seconds`, or earlier if an earlier time was already set."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> Key:
        """The next key; call `done` with it afterwards."""
        while not self._ready:
            self._signal.clear()
            await self._signal.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key, *, failed: bool = False) -> None:
        """The look is over; a failed one is repeated after a growing pause."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            if not failed:
                self.add(key)
        if not failed:
            self._failures.pop(key, None)
            return
        count = self._failures[key] = self._failures.get(key, 0) + 1
        self.add_after(key, min(FIRST_BACKOFF_SECONDS * 2 ** (count - 1), LAST_BACKOFF_SECONDS))

    def close(self) -> None:
        """Drop all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
