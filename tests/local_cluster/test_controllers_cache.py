"""The mirror of a collection and the queue of keys, under what a network does to them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.patience import SECONDS

from fabula_kube.work_queue import WorkQueue
from fabula_local.client import ApiError, NoAnswer
from fabula_local.kinds import POD
from fabula_local.reflector import Reflector

Event = tuple[str, dict[str, Any]]


def pod(name: str, version: int, uid: str | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "uid": uid or name, "resourceVersion": str(version)}}


class Script:
    """An API that answers lists and watches from a script; a watch without a script stays silent."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[Event | Exception]]) -> None:
        self.lists, self.watches = lists, watches
        self.versions: list[str] = []
        self.idle = asyncio.Event()

    async def list(self, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        return self.lists.pop(0), "100"

    async def watch(self, *_: Any, resource_version: str, **__: Any) -> AsyncIterator[Event]:
        self.versions.append(resource_version)
        if not self.watches:
            self.idle.set()
            await asyncio.Event().wait()
        for entry in self.watches.pop(0):
            if isinstance(entry, Exception):
                raise entry
            yield entry


async def play(script: Script) -> tuple[list[tuple[str, str]], set[str]]:
    """Mirror until the script is played; (changes, names left)."""
    reflector = Reflector(script, POD)  # type: ignore[arg-type]
    seen: list[tuple[str, str]] = []
    reflector.on_change(lambda change, obj: seen.append((change, obj["metadata"]["name"])))
    task = asyncio.create_task(reflector.run())
    try:
        async with asyncio.timeout(SECONDS):
            await script.idle.wait()
    finally:
        task.cancel()
    return seen, {name for _, name in reflector.store}


async def test_changes_arrive_in_order() -> None:
    script = Script([[pod("a", 1)]], [[("ADDED", pod("b", 101)), ("DELETED", pod("a", 102))]])
    seen, left = await play(script)
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    assert left == {"b"}


async def test_a_cut_watch_goes_on_where_it_was() -> None:
    bookmark = {"metadata": {"resourceVersion": "150"}}
    script = Script([[]], [[("ADDED", pod("a", 101)), ("BOOKMARK", bookmark), NoAnswer("cut")]])
    seen, _ = await play(script)
    assert script.versions == ["100", "150"]
    assert seen == [("ADDED", "a")]


async def test_an_expired_version_lists_again_and_misses_no_deletion() -> None:
    lists = [[pod("a", 1), pod("b", 2), pod("c", 3)], [pod("a", 1), pod("c", 9, uid="other")]]
    script = Script(lists, [[ApiError(410, "Expired", "too old")]])
    seen, left = await play(script)
    assert seen[3:] == [("DELETED", "b"), ("DELETED", "c"), ("ADDED", "c")], "a is unchanged; c is another object"
    assert left == {"a", "c"}


async def test_repeated_events_are_told_once() -> None:
    script = Script([[]], [[("ADDED", pod("a", 101)), ("ADDED", pod("a", 101)), ("MODIFIED", pod("a", 102))]])
    seen, _ = await play(script)
    assert seen == [("ADDED", "a"), ("MODIFIED", "a")]


async def test_a_key_is_worked_on_by_one_at_a_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("k")
    queue.add("k")
    assert await queue.get() == "k"
    queue.add("k")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.05)
    queue.done("k")
    assert await asyncio.wait_for(queue.get(), SECONDS) == "k"
    queue.done("k")


async def test_the_earliest_time_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("k", 60)
    queue.add_after("k", 0.01)
    queue.add_after("k", 60)
    assert await asyncio.wait_for(queue.get(), SECONDS) == "k"
    queue.done("k")


async def test_failures_are_repeated_after_a_pause() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("k")
    for _ in range(2):
        assert await asyncio.wait_for(queue.get(), SECONDS) == "k"
        queue.done("k", failed=True)
    assert await asyncio.wait_for(queue.get(), SECONDS) == "k"
    queue.done("k")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.5)
