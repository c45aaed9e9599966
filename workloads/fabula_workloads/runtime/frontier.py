"""How far ordered work has to go until there is enough, whoever does which part of it and in whatever order it ends.

Units have one order for all shards. A unit is needed when those before it yield less than what is wanted, which their
content decides and no clock; so any number of shards, begun and stopped at any time, end with the same needed units.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

Unit = TypeVar("Unit")
Look = Callable[[frozenset[str]], Mapping[str, int]]
"""Yields of ended units that are not among the given keys, whoever ended them."""
_POLL_SECONDS = 2.0
_PATIENCE_SECONDS = 120.0


class Frontier:
    """Admits units in their order while they are needed for certain. Safe for many threads.

    A unit that is not needed if others before it yield much waits for them: so nothing is done in vain. Others that
    make no progress (their pod has no node yet, their budget is used up) are waited for no longer than `patience`.
    """

    def __init__(
        self,
        wanted: int,
        most: int,
        look: Look,
        stopping: threading.Event,
        heartbeat: Callable[[], None] = lambda: None,
        *,
        poll_seconds: float = _POLL_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """`wanted`: the yield to stop at; `most`: what one unit yields at most; keys sort as the units do.

        `heartbeat` is called while a unit waits.
        """
        self._wanted, self._most, self._look, self._stopping = wanted, most, look, stopping
        self._heartbeat = heartbeat
        self._poll, self._patience = poll_seconds, patience_seconds
        self._keys: list[str] = []
        self._amounts: list[int] = []
        """Of the ended units, in order."""
        self._at_work: dict[str, int] = {}
        """Units at work here that have not ended, and by how many threads."""
        self._forgiven = 0
        """Units of others that were waited for in vain."""
        self._changed = threading.Condition()
        self._progress = time.monotonic()
        self._looking, self._looked = False, float("-inf")
        self._closed = False

    def ended(self, key: str, amount: int | None) -> None:
        """What was admitted is done. `amount` is the unit's yield, or None where others have a part in it yet."""
        with self._changed:
            if (threads := self._at_work.pop(key, 0) - 1) > 0:
                self._at_work[key] = threads
            if amount is not None:
                self._note({key: amount})
            self._changed.notify_all()

    def close(self) -> None:
        """Admit nothing more: the work ends for another reason, and who waits here need not."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def enough(self, key: str) -> bool:
        """Whether the units before this one are known to yield what is wanted."""
        with self._changed:
            return self._yielded(key) >= self._wanted

    def admit(self, position: int, key: str, wait: bool = True) -> bool:
        """Whether to do the unit, of which `position` others stand before. Waits until that is certain.

        False when it is not needed, when told to stop, or when it is uncertain and `wait` is False. Who waits must hold
        no unit that was admitted and has not ended: it would wait for itself.
        """
        with self._changed:
            while not (self._stopping.is_set() or self._closed):
                yielded, open_here, open_elsewhere = self._state(position, key)
                if yielded >= self._wanted:
                    return False
                if yielded + self._most * (open_here + max(0, open_elsewhere - self._forgiven)) < self._wanted:
                    self._at_work[key] = self._at_work.get(key, 0) + 1
                    return True
                if not wait:
                    return False
                if self._look_around():
                    continue
                if self._forgiven < open_elsewhere and time.monotonic() - self._progress >= self._patience:
                    self._forgiven, self._progress = open_elsewhere, time.monotonic()
                    continue
                self._heartbeat()
                self._changed.wait(self._poll)
        return False

    def _look_around(self) -> bool:
        """Note what others have ended; whether there was anything new. One thread at a time, and not all the time."""
        if self._looking or time.monotonic() - self._looked < self._poll:
            return False
        self._looking, known = True, frozenset(self._keys)
        self._changed.release()  # it may take a while, and what ends here meanwhile must not wait for it
        try:
            news = self._look(known)
        finally:
            self._changed.acquire()
            self._looking, self._looked = False, time.monotonic()
        anything_new = self._note(news)
        self._changed.notify_all()
        return anything_new

    def _state(self, position: int, key: str) -> tuple[int, int, int]:
        """(what the units before yield as far as known, how many of them are at work here, how many elsewhere)."""
        ended, here = bisect_left(self._keys, key), sum(begun < key for begun in self._at_work)
        return self._yielded(key), here, position - ended - here

    def _yielded(self, key: str) -> int:
        return sum(self._amounts[: bisect_left(self._keys, key)])

    def _note(self, ended: Mapping[str, int]) -> bool:
        news = False
        for key, amount in ended.items():
            place = bisect_left(self._keys, key)
            if self._keys[place : place + 1] == [key]:
                continue
            self._keys.insert(place, key)
            self._amounts.insert(place, amount)
            self._at_work.pop(key, None)
            news = True
        if news:
            self._progress = time.monotonic()
        return news


def needed(units: Iterable[tuple[Unit, int]], wanted: int | None) -> Iterator[Unit]:
    """Of (unit, yield) in order the units that are needed; all of them where nothing bounds what is wanted."""
    yielded = 0
    for unit, amount in units:
        if wanted is not None and yielded >= wanted:
            return
        yielded += amount
        yield unit
