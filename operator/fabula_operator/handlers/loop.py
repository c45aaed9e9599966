"""The reconcile loop: workers take runs from the queue, a timer lists everything anew now and then."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

from fabula_kube.work_queue import Urgency, WorkQueue
from fabula_operator.handlers.reconcile import Again, Reconciler
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.observe import Observer

logger = logging.getLogger(__name__)
DEFECT_SECONDS = 30.0
LOOK_AT_ALL = 10
"""Of so many resyncs one has all runs looked at, whether there is news of them or not."""


async def work(queue: WorkQueue[Key], reconciler: Reconciler, led: Callable[[], Awaitable[None]]) -> None:
    """Look at due runs, one after the other, for ever; each once it is `led`, for else nothing may be written."""
    while True:
        # A look that finds nothing to do waits for nothing. Watches, the lease, the status server and a new run would
        # wait until all of ten thousand such looks are over.
        await asyncio.sleep(0)
        key = await queue.get()
        await led()
        again = Again()
        try:
            again = await reconciler.look(key)
        except Exception:
            # A defect in the plan of one run must not stop the others, and must not spin.
            logger.exception("%s %s/%s: the look failed", *key)
            again = Again(act=DEFECT_SECONDS)
        finally:
            queue.done(key)
        # Each look says anew what it waits for.
        queue.look_again(key, again.act)
        queue.look_again(key, again.tell, Urgency.NOTED)


async def resync(
    queue: WorkQueue[Key], observer: Observer, cache: Cache, namespace: str | None, *, all_runs: bool = True
) -> bool:
    """List everything, and have runs looked at behind those that something happens to: all, or those with news and,
    where the cluster serves another set of kinds, all. Those that nobody has answered come first. False if it could not
    be listed."""
    before = (observer.pytorch_jobs, observer.admissions.installed)
    try:
        await observer.discover()
        due = await observer.everything(namespace)
    except ApiError as error:
        logger.warning("the cluster could not be listed: %s", error)
        return False
    if all_runs or before != (observer.pytorch_jobs, observer.admissions.installed):
        due = due.union(cache.keys())
    for key in due:
        queue.add(key, cache.urgency(key))
    return True


async def resync_forever(
    seconds: float,
    queue: WorkQueue[Key],
    observer: Observer,
    cache: Cache,
    namespace: str | None,
    follow: Callable[[], None],
) -> None:
    """Resync again and again. This heals lost events. `follow` watches the kinds that are served by then.

    A plan says itself when to look again without news, so looks at all runs are rare.
    """
    for turn in itertools.count(1):
        await asyncio.sleep(seconds)
        if await resync(queue, observer, cache, namespace, all_runs=turn % LOOK_AT_ALL == 0):
            follow()
