"""The reconcile loop: workers take runs from the queue, a timer reads everything anew now and then."""

from __future__ import annotations

import asyncio
import logging

from fabula_operator.handlers.reconcile import Reconciler
from fabula_operator.handlers.work_queue import WorkQueue
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.observe import Observer

logger = logging.getLogger(__name__)
RESYNC_AT_ONCE = 4
"""Live reads of runs side by side during a resync."""


async def work(queue: WorkQueue[Key], reconciler: Reconciler) -> None:
    """Look at due runs, one after the other, for ever."""
    while True:
        key = await queue.get()
        again: float | None = None
        try:
            again = await reconciler.look(key)
        except Exception:
            # A defect in the plan of one run must not stop the others, and must not spin.
            logger.exception("%s %s/%s: the look failed", *key)
            again = 30.0
        finally:
            queue.done(key)
        if again is not None:
            queue.add_after(key, again)


async def resync(
    queue: WorkQueue[Key],
    reconciler: Reconciler,
    observer: Observer,
    cache: Cache,
    namespace: str | None,
) -> None:
    """Read all runs, and everything of those that are not finished, and look at each. This heals lost events."""
    try:
        await observer.discover()
        keys = await observer.all_runs(namespace)
    except ApiError as error:
        logger.warning("the runs could not be read: %s", error)
        return
    gate = asyncio.Semaphore(RESYNC_AT_ONCE)

    async def one(key: Key) -> None:
        async with gate:
            try:
                await observer.run(key)
            except ApiError as error:
                logger.warning("%s %s/%s could not be read: %s", *key, error)
            queue.add(key)

    unsettled = []
    for key in keys:
        obj = cache.get(key)
        status = (obj or {}).get("status") or {}
        settled = (
            obj is not None
            and status.get("finishedAt")
            and status.get("observedGeneration") == obj["metadata"].get("generation")
        )
        if settled:
            queue.add(key)
        else:
            unsettled.append(key)
    await asyncio.gather(*(one(key) for key in unsettled))


async def resync_forever(
    seconds: float,
    queue: WorkQueue[Key],
    reconciler: Reconciler,
    observer: Observer,
    cache: Cache,
    namespace: str | None,
) -> None:
    """Resync again and again."""
    while True:
        await asyncio.sleep(seconds)
        await resync(queue, reconciler, observer, cache, namespace)
