"""The reconcile loop: looks that have nothing to wait for leave the process to everything else in between."""

from __future__ import annotations

import asyncio

from tests.support.patience import SECONDS

from fabula_kube.work_queue import Urgency, WorkQueue
from fabula_operator.handlers.loop import work
from fabula_operator.handlers.reconcile import Again, Reconciler
from fabula_operator.kube.cache import Key

WORKERS = 8


class Quiet(Reconciler):
    """Finds nothing to do, as of ten thousand runs that wait, and notes whom it looked at."""

    def __init__(self) -> None:
        self.looked: list[Key] = []

    async def look(self, key: Key) -> Again:
        self.looked.append(key)
        return Again()


async def led() -> None:
    return None


async def test_a_resync_of_many_runs_holds_up_neither_a_new_one_nor_anything_else() -> None:
    queue: WorkQueue[Key] = WorkQueue()
    runs = [Key("EvalRun", "team", f"old-{number}") for number in range(500)]
    new = Key("EvalRun", "team", "new")
    for key in runs:
        queue.add(key, Urgency.RESYNCED)
    quiet = Quiet()

    async def hears_of_one() -> None:
        # A watch that is told of it after a few turns of the loop, as when an answer arrives.
        for _ in range(5):
            await asyncio.sleep(0)
        queue.add(new, Urgency.ASKED)

    tasks = [asyncio.create_task(work(queue, quiet, led)) for _ in range(WORKERS)]
    try:
        async with asyncio.timeout(SECONDS):
            await hears_of_one()
            while len(quiet.looked) < len(runs) + 1:
                await asyncio.sleep(0)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert quiet.looked.index(new) <= 7 * WORKERS
    assert sorted(quiet.looked) == sorted([*runs, new])
