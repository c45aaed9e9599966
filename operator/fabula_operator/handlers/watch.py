"""One watch for each kind, straight into the cache and the queue. A watch event only says which run to look at."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from fabula_kube.work_queue import Urgency
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.resources import JOB, POD, PYTORCH_JOB, RUNS, Obj, Resource
from fabula_operator.kube.streams import Mark, Streams
from fabula_operator.render.names import RUN_UID

logger = logging.getLogger(__name__)
FIRST_PAUSE, LAST_PAUSE = 0.5, 15.0
"""Seconds until a stream that ended is begun again, more each time until it brings something."""


def kinds(*, pytorch_jobs: bool) -> tuple[tuple[Resource, ...], ...]:
    """What is watched, in the order in which it is listed: what is said of pods is never older than what is said of
    their child, and that never older than what is said of the run."""
    return tuple(RUNS.values()), (JOB, PYTORCH_JOB) if pytorch_jobs else (JOB,), (POD,)


@dataclass(frozen=True, slots=True)
class _Watch:
    """One kind's."""

    task: asyncio.Task[None]
    listed: asyncio.Event


class Watches:
    """Watches as many kinds as it is told to."""

    def __init__(
        self,
        streams: Streams,
        cache: Cache,
        changed: Callable[[Key, Urgency], None],
        heard: Callable[[str], None],
        namespace: str | None,
    ) -> None:
        """`changed` is told which runs to look at, `heard` the kind of each event that was news."""
        self._streams = streams
        self._cache = cache
        self._changed = changed
        self._heard = heard
        self._namespace = namespace
        self._watches: dict[Resource, _Watch] = {}

    def follow(self, ranks: Iterable[Iterable[Resource]]) -> None:
        """Watch these kinds from now on and no others. A rank is listed once those before it have been."""
        wanted = [tuple(rank) for rank in ranks]
        for resource in self._watches.keys() - {followed for rank in wanted for followed in rank}:
            self._watches.pop(resource).task.cancel()
        before: list[asyncio.Event] = []
        for rank in wanted:
            for resource in rank:
                if resource not in self._watches:
                    listed = asyncio.Event()
                    begun = self._keep(resource, tuple(before), listed)
                    task = asyncio.create_task(begun, name=f"watch of {resource.plural}")
                    self._watches[resource] = _Watch(task, listed)
            before += [self._watches[resource].listed for resource in rank]

    async def listed(self) -> None:
        """Wait until all that is watched has been told of."""
        for watch in list(self._watches.values()):
            await watch.listed.wait()

    async def close(self) -> None:
        """Stop watching."""
        watches = list(self._watches.values())
        self._watches.clear()
        for watch in watches:
            watch.task.cancel()
        await asyncio.gather(*(watch.task for watch in watches), return_exceptions=True)

    async def _keep(self, resource: Resource, before: tuple[asyncio.Event, ...], listed: asyncio.Event) -> None:
        """Take a kind's events for ever. A stream that fails is begun anew, and its list tells what was missed."""
        for earlier in before:
            await earlier.wait()
        labels = None if resource in RUNS.values() else RUN_UID
        pause = FIRST_PAUSE
        while True:
            try:
                async with aclosing(self._streams.events(resource, self._namespace, labels)) as events:
                    async for event in events:
                        pause = FIRST_PAUSE
                        if isinstance(event, Mark):
                            listed.set()
                        else:
                            self._take(*event)
            except Exception as error:
                logger.warning("the watch of %s failed, again in %.1f s: %r", resource.plural, pause, error)
            # Not all at once, when a server comes back.
            await asyncio.sleep(pause * random.uniform(1.0, 1.2))  # noqa: S311
            pause = min(2 * pause, LAST_PAUSE)

    def _take(self, type_: str | None, obj: Obj) -> None:
        """Take one event, `None` for an object that a list told of."""
        keys = self._cache.drop(obj) if type_ == "DELETED" else self._cache.put(obj)
        if keys and type_ is not None:
            self._heard(obj["kind"])
        for key in keys:
            known = self._cache.urgency(key)
            self._changed(key, known if type_ is None else min(known, Urgency.CHANGED))
