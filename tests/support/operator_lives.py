"""Lives of runs under an operator that is driven step by step: how each begins, ends, and what must be equal."""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.operator_driver import (
    DATASET_SPEC,
    EVAL_SPEC,
    FINE_TUNE_SPEC,
    Clock,
    Crashed,
    CrashGate,
    Driver,
    Fault,
    Feed,
    make_namespace,
    run_object,
)
from tests.support.scripted_cluster import Ending, Script, ScriptedCluster, Task, failure, success

from fabula_operator.kube.client import Api, Write
from fabula_operator.kube.resources import EVENT, JOB, RUNS, Obj, Resource

AT_ONCE = 4
_names = itertools.count(1)


def preempted_once(task: Task) -> Ending:
    """The first attempt is preempted, the second fails of its own, the third succeeds."""
    if task.stage == "train" and task.attempt == 1:
        return Ending(143, disrupted=True)
    if task.stage == "train" and task.attempt == 2:
        return failure("LossIsNaN", "the loss became NaN at step 3", 1)
    return success(task)


def one_shard_is_retried(task: Task) -> Ending:
    """One shard fails once; the Job controller tries it again."""
    if task.stage == "infer" and task.shard == 1 and task.arm == "base" and task.attempt_of_shard == 1:
        return failure("StoreUnavailable", "no route to the store", 75)
    return success(task)


def bad_input(task: Task) -> Ending:
    """The source cannot be read."""
    return failure("InputInvalid", "episodes.jsonl.gz:3: not JSON", 65)


def _uri_only(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(spec), **changes}


@dataclass(frozen=True)
class Life:
    """One run's whole life."""

    kind: str
    spec: dict[str, Any]
    script: Script
    state: str


TUNE = _uri_only(FINE_TUNE_SPEC, dataset={"uri": "datasets/vist"})
EVAL = _uri_only(EVAL_SPEC)
EVAL["arms"] = [EVAL["arms"][0], {**EVAL["arms"][1], "adapter": {"uri": "adapters/one"}}]

LIVES = {
    "a build": Life("DatasetBuild", DATASET_SPEC, success, "Succeeded"),
    "a build of bad input": Life("DatasetBuild", DATASET_SPEC, bad_input, "Failed"),
    "a tuning run that is preempted, fails and succeeds": Life("FineTuneRun", TUNE, preempted_once, "Succeeded"),
    "an evaluation with a shard that is tried again": Life("EvalRun", EVAL, one_shard_is_retried, "Succeeded"),
}


@dataclass
class End:
    """What is left at the end, without times, uids and the namespace's name."""

    status: Any
    children: list[str]
    events: list[tuple[str, str]]
    pods: dict[tuple[str, int], int]
    writes: list[str] = field(default_factory=list)


class View:
    """The cluster as one life's feed and scripted cluster see it: lists are asked for anew once something of their kind
    was written, and nobody else writes there."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lists: dict[str, list[Obj]] = {}

    async def list(self, resource: Resource, namespace: str | None) -> list[Obj]:
        """As the API has them."""
        if resource.plural not in self._lists:
            self._lists[resource.plural] = await self._api.list(resource, namespace)
        return list(self._lists[resource.plural])

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Write something."""
        try:
            return await self._api.request(method, path, **options)
        finally:
            self.changed(path.partition("/namespaces/")[2].split("/")[1])

    def changed(self, plural: str) -> None:
        """Objects of this kind may be others now."""
        self._lists.pop(plural, None)


@dataclass
class Stage:
    """One life being lived."""

    admin: Api
    life: Life
    namespace: str
    view: View
    cluster: ScriptedCluster
    clock: Clock
    created: list[str] = field(default_factory=list)
    """Children whose creation the API server took, in order."""

    async def status(self) -> Obj:
        run = await self.admin.get(RUNS[self.life.kind], self.namespace, "run")
        assert run is not None
        status: Obj = run.get("status") or {}
        return status


class Recorder:
    """A gate that notes what was written and which Jobs were created, in front of another gate."""

    def __init__(self, gate: CrashGate, stage: Stage) -> None:
        self._gate, self._stage = gate, stage

    async def before(self, write: Write) -> None:
        await self._gate.before(write)

    async def after(self, write: Write) -> None:
        self._stage.view.changed(write.resource.partition("/")[0])
        if write.verb == "create" and write.resource == "jobs":
            self._stage.created.append(write.name)
        await self._gate.after(write)


async def begin(admin: Api, life: Life) -> Stage:
    namespace = await make_namespace(admin, f"life-{next(_names)}")
    await admin.request(
        "POST", RUNS[life.kind].path(namespace), body=run_object(life.kind, namespace, "run", life.spec)
    )
    view = View(admin)
    return Stage(admin, life, namespace, view, ScriptedCluster(view, namespace, life.script), Clock())


def feed_of(stage: Stage, fault: Fault | None = None) -> Feed:
    """Watch events of the stage's namespace."""
    return Feed(stage.view, stage.namespace, kinds=[stage.life.kind], fault=fault)


def operator(stage: Stage, gate: CrashGate, *, comparable: bool = True) -> Driver:
    """A new operator process: nothing remembered, its own gate, the same connections."""
    api = copy.copy(stage.admin)
    api.gate = Recorder(gate, stage)
    return Driver(api, stage.clock, comparable=comparable)


async def live(
    stage: Stage,
    driver: Driver,
    feed: Feed,
    *,
    resync_every: int | None = None,
    rounds: int = 120,
    patience: int = 0,
) -> None:
    """Drive until nothing moves any more, for `patience` rounds and those between two resyncs."""
    still = 0
    for round_ in range(rounds):
        driver.feed(await feed.events())
        busy = bool(driver.due)
        await driver.drain()
        if resync_every and round_ % resync_every == resync_every - 1:
            await driver.resync(stage.namespace)
        moved = await stage.cluster.step()
        still = 0 if moved or busy else still + 1
        if still > (resync_every or patience):
            return
    raise AssertionError(f"it does not settle: {await stage.status()}")


async def ended(stage: Stage, gates: list[CrashGate]) -> End:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            times = {"startedAt", "finishedAt", "lastTransitionTime", "committedAt", "duration"}
            return {key: plain(member) for key, member in value.items() if key not in times}
        if isinstance(value, list):
            return [plain(item) for item in value]
        # Pods have a serial number, which depends on how often anything was started.
        return re.sub(r"-\d{5}\b", "-POD", value.replace(stage.namespace, "NS")) if isinstance(value, str) else value

    children = await stage.admin.list(JOB, stage.namespace)
    events = await stage.admin.list(EVENT, stage.namespace)
    return End(
        plain(await stage.status()),
        sorted(job["metadata"]["name"] for job in children),
        sorted((event["reason"], plain(event["message"])) for event in events),
        dict(stage.cluster.runs),
        [f"{write.verb} {write.resource}" for gate in gates for write in gate.writes],
    )


_ends: dict[str, End] = {}


async def undisturbed(admin: Api, life: Life) -> End:
    """The end of a life that nothing disturbs; lived once for all tests."""
    mark = f"{life.kind} {life.script.__name__}"
    if mark not in _ends:
        _ends[mark] = await live_undisturbed(admin, life)
    return _ends[mark]


async def live_undisturbed(admin: Api, life: Life) -> End:
    stage = await begin(admin, life)
    gate = CrashGate()
    driver = operator(stage, gate)
    await live(stage, driver, feed_of(stage))
    end = await ended(stage, [gate])
    assert end.status["state"] == life.state
    before = len(gate.writes)
    for _ in range(3):
        await driver.resync(stage.namespace)
    assert len(gate.writes) == before, "a finished run causes writes"
    return end


def compare(end: End, expected: End, stage: Stage, *, late: bool = False) -> None:
    """`late` looks miss what was over between two of them, so that fewer events tell of it."""
    assert end.status == expected.status
    assert end.children == expected.children
    assert end.pods == expected.pods, "a pod was run twice, or not at all"
    assert len(stage.created) == len(set(stage.created)), f"a child was created twice: {stage.created}"
    assert set(end.events) <= set(expected.events) if late else end.events == expected.events
    assert stage.cluster.overlaps == []


async def with_crash(admin: Api, life: Life, at: int, after: bool, expected: End) -> None:
    stage = await begin(admin, life)
    first = CrashGate(at, after)
    feed = feed_of(stage)
    old: list[Obj] = []

    async def watch_history() -> None:
        old[:] = await feed.snapshot()

    driver = operator(stage, first)
    # The list a new operator starts from may be as old as the one before the crash.
    await watch_history()
    with pytest.raises(Crashed):
        await live(stage, driver, feed)
    second = CrashGate()
    driver = operator(stage, second)
    driver.feed(("ADDED", obj) for obj in old)
    await driver.drain()
    await live(stage, driver, feed_of(stage))
    compare(await ended(stage, [first, second]), expected, stage)


async def each(cases: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run cases side by side, and tell of every one that failed."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded(case: Callable[[], Coroutine[Any, Any, None]]) -> BaseException | None:
        async with gate:
            try:
                await case()
            except AssertionError as error:
                return error
            return None

    failures = [error for error in await asyncio.gather(*map(guarded, cases)) if error is not None]
    assert not failures, f"{len(failures)} of {len(cases)} lives ended otherwise; the first: {failures[0]}"
