"""kopf's watch streams over our connections, and what the watches make of them."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.clients import api as kopf_api
from kopf._cogs.clients.watching import Bookmark, infinite_watch
from tests.support.kubeconfig import kubeconfig

from fabula_kube.connection import Connection
from fabula_kube.credentials import from_kubeconfig
from fabula_kube.work_queue import Urgency
from fabula_operator.handlers.watch import Watches, kinds
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.resources import JOB, POD, PYTORCH_JOB, RUNS, Obj, Resource
from fabula_operator.kube.streams import Mark, Streams, ahead
from fabula_operator.render.names import RUN_UID

BUILD = RUNS["DatasetBuild"]


def test_what_is_taken_from_inside_kopf_is_as_it_was() -> None:
    asked = inspect.signature(infinite_watch).parameters
    assert list(asked) == ["settings", "resource", "namespace", "operator_paused", "_iterations"]
    assert [one.default for one in asked.values()] == [inspect.Parameter.empty] * 3 + [None, None]
    assert list(Bookmark) == [Bookmark.LISTED]
    assert "json.loads(line" in inspect.getsource(kopf_api.stream)
    assert inspect.getsource(kopf_api).count("json.") == 1


def job(name: str, version: int) -> Obj:
    meta = {"name": name, "namespace": "team", "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": {**meta, "labels": {RUN_UID: "u-data"}}}


class Server:
    """An API server of Jobs: pages of a list, then one script of lines for each watch."""

    def __init__(self) -> None:
        self.pages: list[list[Obj]] = [[]]
        self.watches: list[list[Obj]] = []
        self.asked: list[dict[str, str]] = []
        self.signed: list[str] = []
        self.accepted: str | None = None
        app = web.Application()
        app.router.add_get("/apis/batch/v1/namespaces/team/jobs", self._take)
        self.http = TestServer(app)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.signed.append(request.headers.get("Authorization", ""))
        if self.accepted is not None and self.signed[-1] != self.accepted:
            return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)
        if "watch" not in request.query:
            page = int(request.query.get("continue", "0"))
            meta = {"resourceVersion": "100", "continue": str(page + 1) if page + 1 < len(self.pages) else ""}
            body = {"kind": "JobList", "metadata": meta, "items": self.pages[page]}
            return web.json_response(body)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for event in self.watches.pop(0) if self.watches else ():
            await answer.write(orjson.dumps(event) + b"\n")
        if not self.watches:
            await asyncio.Event().wait()
        return answer

    def streams(self, folder: Path, user: dict[str, Any]) -> tuple[Connection, Streams]:
        made = Connection(from_kubeconfig(kubeconfig(folder, f"http://127.0.0.1:{self.http.port}", user)), "watcher")
        return made, Streams(made)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.http.start_server()
    yield made
    await made.http.close()


async def take(streams: Streams, count: int) -> list[tuple[str | None, str, str] | Mark]:
    """The first events as (type, name, version)."""
    found: list[tuple[str | None, str, str] | Mark] = []
    async with aclosing(streams.events(JOB, "team", RUN_UID)) as events:
        async for event in events:
            if isinstance(event, tuple):
                assert (event[1]["apiVersion"], event[1]["kind"]) == ("batch/v1", "Job")
                found.append((event[0], event[1]["metadata"]["name"], event[1]["metadata"]["resourceVersion"]))
            else:
                found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_stream_lists_page_by_page_watches_from_there_and_goes_on_where_it_was_cut(
    server: Server, tmp_path: Path
) -> None:
    server.pages = [[job("a", 1)], [job("b", 2)]]
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "120"}}}
    server.watches = [
        [{"type": "ADDED", "object": job("c", 101)}, bookmark],
        [{"type": "DELETED", "object": job("a", 121)}],
        [{"type": "ERROR", "object": {"kind": "Status", "code": 410}}],
        [{"type": "MODIFIED", "object": job("b", 122)}],
    ]
    http, streams = server.streams(tmp_path, {"token": "t"})
    listed = [(None, "a", "1"), (None, "b", "2"), Mark.LISTED]
    told = [("ADDED", "c", "101"), ("DELETED", "a", "121"), *listed, ("MODIFIED", "b", "122")]
    assert await take(streams, 9) == [*listed, *told]
    await http.close()
    places = [one.get("resourceVersion") for one in server.asked if "watch" in one]
    assert places == ["100", "120", "121", "100"], "after a version that is too old comes a new list"
    assert {one["labelSelector"] for one in server.asked} == {RUN_UID}
    assert {one.get("limit") for one in server.asked if "watch" not in one} == {"500"}


async def test_a_stream_signs_with_a_token_that_is_read_anew_and_says_when_none_is_taken(
    server: Server, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    server.pages = [[job("a", 1)]]
    http, streams = server.streams(tmp_path, {"token": "old", "tokenFile": str(token)})
    assert await take(streams, 2) == [(None, "a", "1"), Mark.LISTED]
    token.write_text("new")
    server.accepted = "Bearer new"
    assert await take(streams, 2) == [(None, "a", "1"), Mark.LISTED]
    assert (set(server.signed), server.signed[0]) == ({"Bearer old", "Bearer new"}, "Bearer old")
    server.accepted = "Bearer nobody's"
    with pytest.raises(Exception, match="Unauthorized"):
        await take(streams, 1)
    await http.close()


async def test_a_list_is_read_fast_and_what_only_the_standard_library_reads_by_that(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = list[str | bytes]()
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text, **how: slow.append(text) or loads(text, **how))  # type: ignore[func-returns-value]
    server.pages = [[job("a", 1)]]
    http, streams = server.streams(tmp_path, {"token": "t"})
    assert await take(streams, 2) == [(None, "a", "1"), Mark.LISTED]
    assert slow == []
    odd = job("b", 2)
    odd["spec"] = {"prompt": "\ud800"}
    server.pages = [[odd]]
    assert await take(streams, 2) == [(None, "b", "2"), Mark.LISTED]
    await http.close()


async def test_the_next_page_is_asked_for_before_the_last_one_is_taken_and_an_error_comes_in_its_place() -> None:
    asked = list[str]()

    async def pages() -> AsyncIterator[int]:
        for page in range(3):
            asked.append(f"page {page}")
            await asyncio.sleep(0)
            for number in range(2):
                yield 10 * page + number
        raise RuntimeError("gone")

    told = ahead(pages(), 2)
    found = [await anext(told)]
    while len(asked) < 2:
        await asyncio.sleep(0)
    found += [await anext(told) for _ in range(5)]
    assert (found, asked) == ([0, 1, 10, 11, 20, 21], ["page 0", "page 1", "page 2"])
    with pytest.raises(RuntimeError, match="gone"):
        await anext(told)


class Scripted(Streams):
    """What each kind's streams tell, one after the other; an error is raised, and the last one stays open."""

    def __init__(self, scripts: dict[Resource, list[list[object]]]) -> None:
        self.scripts = scripts
        self.begun: list[str] = []

    async def events(
        self, resource: Resource, namespace: str | None, labels: str | None = None
    ) -> AsyncGenerator[tuple[str | None, Obj] | Mark]:
        self.begun.append(resource.plural)
        assert labels == (None if resource in RUNS.values() else RUN_UID)
        scripts = self.scripts.get(resource) or [[Mark.LISTED]]
        for event in scripts.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event  # type: ignore[misc]
        if not scripts:
            await asyncio.Event().wait()


def build(name: str, version: int, *, answered: bool = False) -> Obj:
    meta = {"name": name, "namespace": "team", "uid": f"u-{name}", "resourceVersion": str(version), "generation": 1}
    status = {"observedGeneration": 1} if answered else {}
    return {"kind": "DatasetBuild", "apiVersion": BUILD.api_version, "metadata": meta, "spec": {}, "status": status}


class Told:
    """What the watches tell the queue."""

    def __init__(self, streams: Streams) -> None:
        self.cache = Cache()
        self.due: list[tuple[str, Urgency]] = []
        self.heard: Counter[str] = Counter()
        self.watches = Watches(streams, self.cache, self._changed, self._heard, None)

    def _changed(self, key: Key, urgency: Urgency) -> None:
        self.due.append((key.name, urgency))

    def _heard(self, kind: str) -> None:
        self.heard[kind] += 1


async def test_what_is_asked_comes_first_then_what_happens_then_what_is_listed_and_an_echo_never() -> None:
    listed = [(None, build("old", 1, answered=True)), (None, build("missed", 2)), Mark.LISTED]
    events = [("ADDED", build("new", 3)), ("MODIFIED", build("new", 3)), ("MODIFIED", build("new", 4, answered=True))]
    told = Told(Scripted({BUILD: [[*listed, *events, ("DELETED", build("old", 5))]]}))
    told.watches.follow([[BUILD]])
    while len(told.due) < 5:
        await asyncio.sleep(0)
    assert told.due == [
        ("old", Urgency.RESYNCED), ("missed", Urgency.ASKED), ("new", Urgency.ASKED), ("new", Urgency.CHANGED),
        ("old", Urgency.CHANGED),
    ]  # fmt: skip
    assert told.heard == {"DatasetBuild": 3}
    assert [one["metadata"]["name"] for one in told.cache.runs()] == ["missed", "new"]
    await told.watches.close()


async def test_thousands_of_events_of_many_objects_are_taken_without_a_timer() -> None:
    """A limit on how many objects may be at work at once once held up all others for a second each."""
    listed = [(None, build(f"listed-{number}", number)) for number in range(3000)]
    new = [("ADDED", build(f"new-{number}", 3000 + number)) for number in range(3000)]
    told = Told(Scripted({BUILD: [[*listed, Mark.LISTED, *new]]}))
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    told.watches.follow([[BUILD]])
    before = loop.call_at
    loop.call_at = lambda when, *rest, **more: timers.append(when) or before(when, *rest, **more)  # type: ignore[method-assign,func-returns-value]
    while len(told.due) < 6000:
        await asyncio.sleep(0)
    assert timers == []
    await told.watches.close()


async def test_kinds_are_listed_in_turn_and_a_stream_that_fails_is_begun_anew() -> None:
    streams = Scripted({JOB: [[RuntimeError("403")], [RuntimeError("403")], [Mark.LISTED]]})
    told = Told(streams)
    told.watches.follow(kinds(pytorch_jobs=False))
    await told.watches.listed()
    assert sorted(streams.begun[:3]) == sorted(one.plural for one in RUNS.values())
    assert streams.begun[3:] == ["jobs", "jobs", "jobs", "pods"]
    await told.watches.close()


async def test_a_kind_that_comes_is_watched_too_and_one_that_goes_is_not() -> None:
    streams = Scripted({})
    told = Told(streams)
    told.watches.follow(kinds(pytorch_jobs=False))
    await told.watches.listed()
    told.watches.follow(kinds(pytorch_jobs=True))
    await told.watches.listed()
    assert streams.begun[-1] == "pytorchjobs"
    told.watches.follow(kinds(pytorch_jobs=False))
    await asyncio.sleep(0)
    names = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("watch of")}
    assert names == {f"watch of {one.plural}" for one in (*RUNS.values(), JOB, POD)}
    assert PYTORCH_JOB not in {JOB, POD}
    await told.watches.close()
