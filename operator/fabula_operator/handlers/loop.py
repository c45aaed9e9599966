"""The reconcile loop: workers take runs from the queue, a timer lists everything anew now and then."""

from __future__ import annotations

import asyncio
import logging

from fabula_operator.handlers.reconcile import Reconciler
from fabula_operator.handlers.work_queue import Urgency, WorkQueue
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.observe import Observer

logger = logging.getLogger(__name__)


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


async def resync(queue: WorkQueue[Key], observer: Observer, cache: Cache, namespace: str | None) -> bool:
    """List everything, and have every run looked at, behind those that something happens to. False if that failed."""
    try:
        await observer.discover()
        changed = await observer.everything(namespace)
    except ApiError as error:
        logger.warning("the cluster could not be listed: %s", error)
        return False
    for key in changed.union(cache.keys()):
        queue.add(key, Urgency.RESYNCED)
    return True


async def resync_forever(
    seconds: float, queue: WorkQueue[Key], observer: Observer, cache: Cache, namespace: str | None
) -> None:
    """Resync again and again. This heals lost events."""
    while True:
        await asyncio.sleep(seconds)
        await resync(queue, observer, cache, namespace)
