"""Several items at once, without losing any: what has begun ends and is handed out, whatever happens to the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def in_flight(
    items: Iterable[Item], work: Callable[[Item], Outcome], limit: int, stopping: threading.Event
) -> Generator[tuple[Item, Outcome], None, None]:
    """(item, outcome) as items end, with at most `limit` of them at work.

    When `stopping` is set, or an item raises, no further item begins; those at work end and are handed out first, and
    then the first exception is raised. An item's thread is its own until it ends. Who may leave the loop before its end
    closes this generator (`contextlib.closing`): left to the garbage collector, it would wait for its threads in
    whichever thread that runs, and for ever where that is one which is just being started.
    """
    failure: BaseException | None = None
    remaining = iter(items)
    running: dict[Future[Outcome], Item] = {}
    with ThreadPoolExecutor(limit, thread_name_prefix="item") as threads:
        while True:
            while failure is None and len(running) < limit and not stopping.is_set():
                try:
                    item = next(remaining)
                except StopIteration:
                    break
                running[threads.submit(work, item)] = item
            if not running:
                break
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                item = running.pop(future)
                if (error := future.exception()) is None:
                    yield item, future.result()
                else:
                    failure = failure or error
    if failure is not None:
        raise failure
