"""Items that the shards of a stage take from one list: a slow shard holds nobody, and a dead one's items come back.

A claim is a small object that is written only where none is. It stays: an item is done when the ledger says so. Whoever
takes a claim over writes the next number, so of several that try, one does. An item that two shards do all the same
(one was taken for dead) ends with the same outcome: items depend on nothing but themselves.

Nobody's clock is compared with another's. A shard at work writes a beat now and then; who waits for it sees whether the
beat changes within the lease, on its own clock. The beat says its pace as well: near the end, a slow shard leaves what
faster ones will have ended sooner.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from fabula_api.artifact import canonical_json
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.ledger import Ledger, item_path
from fabula_workloads.runtime.pace import Beat, Pace, Stopwatch, faster_without, share
from fabula_workloads.runtime.shares import Holder, in_order, portion
from fabula_workloads.runtime.store import Store

_FOLDER, _BEATS = "queue/claims", "queue/beats"
LEASE_SECONDS = 90.0
"""A shard whose beat stands still for so long is taken for dead."""
_BEATS_A_LEASE = 4
_NEAR_END = 4
"""Items left for each shard from which on paces count: one shard may be so many times slower than the others."""
_MOST_HEARD = 32
"""Beats of others that are read at once."""


class WorkQueue:
    """The items of a stage as one of its shards sees them. For one thread; only `beat` may be called by another.

    `items` are those of all shards, in an order that all have alike. Raises what the store raises.
    """

    def __init__(
        self,
        store: Store,
        items: Sequence[str],
        me: Holder,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._me, self._lease, self._clock = store, me, lease_seconds, clock
        self._ledger = Ledger(store)
        self._all = frozenset(items)
        self.done: set[str] = self._ledger.ids() & self._all
        """Items that are known to have an outcome, whoever it is from."""
        self._numbers: dict[str, int] = {}
        """By item: the number of its last claim, as far as known."""
        self._mine: dict[str, float] = {}
        """Items in hand, and when they were taken."""
        self._beats: dict[str, tuple[Any, float, bool]] = {}
        """By holder: its last beat, since when it is so, and whether it was ever seen to change."""
        self._beaten = 0
        self._looked = clock()
        self._watch = Stopwatch()
        self._others_paces: list[Pace] = []
        self._left: tuple[int, float] | None = None
        """How many free items have been left to faster shards, and since when there are so many."""
        order = [item for item in in_order(items, me.shard, me.shards) if item not in self.done]
        self._free: dict[str, None] = dict.fromkeys(order)
        self._order = {item: place for place, item in enumerate(order)}
        self._others: dict[str, str | None] = {}
        """Claimed items that are not done, by who holds them; None where that was not looked at yet."""
        self._look()
        self.beat()

    def take(self, most: int) -> list[str]:
        """Claim up to `most` items, fewer near the end; none when all are done, claimed, or left to faster shards
        (`more` says what then)."""
        if self._look_before():
            self._look()
            if self._left_to_faster():
                return []
        part = share(self._watch.pace, self._others_paces)
        wanted = portion(len(self._free), self._me.shards, most, part) if self._free else 0
        taken: list[str] = []
        while self._free and len(taken) < wanted:
            item = next(iter(self._free))
            del self._free[item]
            if self._claim(item):
                taken.append(item)
            elif item not in self.done:
                self._others[item] = None
        if taken:
            self._left = None
            self._watch.holds(len(self._mine))
        return taken

    def finished(self, item: str, work: float = 0.0) -> None:
        """The item's outcome is stored. How much work it was, where that is known, is what paces are reckoned from."""
        since = self._mine.pop(item, None)
        self.done.add(item)
        if work > 0 and since is not None:
            self._watch.ended(work, self._clock() - since)

    def more(self) -> bool | None:
        """Whether something is free, after a look around. None: ask again in a while, for others hold items, and who
        knows whether they live, or they are about to take what is free. False: nothing is left to do here.

        What live shards of this run hold, they will do, or their next start. What another run holds is waited for,
        since nobody starts that again for us.
        """
        self._look()
        if self._free:
            return None if self._left_to_faster() else True
        holders = {self._others[item] or "" for item in self._others}
        if not holders:
            return False
        ours = f"{self._me.run}.{self._me.shards}."
        if all(name.startswith(ours) and self._beats.get(name, (0, 0, False))[2] for name in holders):
            return False
        return None

    def beat(self) -> None:
        """Say that this shard lives. To be called several times in a lease."""
        self._beaten += 1
        beat = Beat(beat=self._beaten, pace=self._watch.pace)
        self._store.write(f"{_BEATS}/{self._me.name}.json", canonical_json(beat.to_wire()))

    def release(self) -> None:
        """Give back what was claimed and is not done: nobody needs to wait for a shard that ends in order."""
        for item in sorted(self._mine):
            self._store.write(self._path(item, self._numbers[item]), canonical_json({"holder": None}))
        self._mine.clear()
        self._store.delete(f"{_BEATS}/{self._me.name}.json")

    def _claim(self, item: str) -> bool:
        number = self._numbers.get(item, 0) + 1
        self._numbers[item] = number
        if not self._store.write_if_absent(self._path(item, number), canonical_json({"holder": self._me.name})):
            return False
        # Between the last look and this claim, who held it before may have ended it.
        if number > 1 and self._ledger.get(item) is not None:
            self.done.add(item)
            return False
        self._mine[item] = self._clock()
        return True

    def _look_before(self) -> bool:
        """Whether to look around before taking something: near the end always, else as often as it beats, since what
        others have taken is not known here."""
        if self._me.shards == 1 or self._watch.pace is None or not self._free:
            return False
        return self._near_end() or self._clock() - self._looked >= self._lease / _BEATS_A_LEASE

    def _near_end(self) -> bool:
        return len(self._free) <= _NEAR_END * self._me.shards

    def _look(self) -> None:
        """See what is done, who holds the rest, which of them still live, and near the end how fast they are."""
        self._looked = self._clock()
        self.done |= self._ledger.ids() & self._all
        for entry in self._store.list(_FOLDER):
            item, number = entry.path.rsplit("/", 1)[1].removesuffix(".json").rsplit(".", 1)
            if item in self._all and number.isdigit():
                self._numbers[item] = max(self._numbers.get(item, 0), int(number))
        claimed = [item for item in self._order if item in self._numbers and item not in self.done | self._mine.keys()]
        self._others = {item: self._holder(item) for item in claimed}
        alive: dict[str, bool] = {}
        for item, name in list(self._others.items()):
            if name is None or not alive.setdefault(name, self._lives(name)):
                del self._others[item]
                self._free[item] = None
            else:
                self._free.pop(item, None)
        self._free = dict.fromkeys(
            sorted((item for item in self._free if item not in self.done), key=self._order.__getitem__)
        )
        known = self._watch.pace is not None and self._me.shards > 1
        self._others_paces = self._hear() if known and self._free and self._near_end() else []

    def _hear(self) -> list[Pace]:
        """Paces of this run's other shards, but of those that are known to be dead."""
        names = sorted(entry.path.rsplit("/", 1)[1].removesuffix(".json") for entry in self._store.list(_BEATS))
        ours, mine = f"{self._me.run}.{self._me.shards}.", f"{self._me.place}."
        others = [name for name in names if name.startswith(ours) and not name.startswith(mine)]
        heard = []
        for name in others[:_MOST_HEARD]:
            if self._lives(name) and (pace := Beat.pace_in(self._beats[name][0])) is not None:
                heard.append(pace)
        return heard

    def _left_to_faster(self) -> bool:
        """Whether others end what is free sooner without this shard. Where none of them takes anything for as long as
        an item takes here, it waits no longer."""
        pace, now, free = self._watch.pace, self._clock(), len(self._free)
        if pace is None or not faster_without(free, pace, self._others_paces):
            self._left = None
            return False
        if self._left is None or self._left[0] != free:
            self._left = (free, now)
        return now - self._left[1] < self._watch.item_seconds

    def _holder(self, item: str) -> str | None:
        """Who has the item's last claim; None where it was given back, or its claim was changed by hand."""
        claim = self._read(self._path(item, self._numbers[item]))
        name = claim.get("holder") if isinstance(claim, dict) else None
        return name if isinstance(name, str) else None

    def _lives(self, name: str) -> bool:
        if name.startswith(f"{self._me.place}."):
            return name == self._me.name
        beat, now = self._read(f"{_BEATS}/{name}.json"), self._clock()
        if beat is None:
            return False  # it ended in order
        before = self._beats.get(name)
        if before is None or before[0] != beat:
            self._beats[name] = (beat, now, before is not None)
            return True
        return now - before[1] < self._lease

    def _read(self, path: str) -> Any:
        try:
            return json.loads(self._store.read(path))
        except (NotFound, ValueError):
            return None

    @staticmethod
    def _path(item: str, number: int) -> str:
        return f"{_FOLDER}/{item_path(item).split('/')[1]}/{item}.{number}.json"


class Heart:
    """Beats for a queue, in a thread of its own, as long as the work goes on. A beat that cannot be written is not
    missed: the next one follows."""

    def __init__(self, beat: Callable[[], None], lease_seconds: float = LEASE_SECONDS) -> None:
        self._beat, self._pause = beat, lease_seconds / _BEATS_A_LEASE
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._pause):
            with suppress(Exception):
                self._beat()
