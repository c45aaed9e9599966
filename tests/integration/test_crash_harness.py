"""Crashes at every write, stale lists, lost, repeated and reordered events: each life must end as an undisturbed one.

The operator is driven without kopf, over the same kube layer; a scripted cluster moves the children. After each crash a
new operator starts from nothing but the API. The oracle is the same each time: the same children by name, the same
status but for times, no child created twice, no pod run twice, two attempts never at once, and then no more writes.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.laptop import LaptopApi
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
    install_crds,
    make_namespace,
    run_object,
    shuffled,
)
from tests.support.scripted_cluster import Ending, Script, ScriptedCluster, Task, failure, success

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import EVENT, JOB, RUNS, Obj

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


@dataclass
class Stage:
    """One life being lived."""

    admin: Api
    life: Life
    namespace: str
    cluster: ScriptedCluster
    clock: Clock
    created: list[str] = field(default_factory=list)
    """Children whose creation the API server took, in order."""

    async def status(self) -> Obj:
        run = await self.admin.get(RUNS[self.life.kind], self.namespace, "run")
        assert run is not None
        found: Obj = run.get("status") or {}
        return found


class Recorder:
    """A gate that notes creations of Jobs that took place, in front of another gate."""

    def __init__(self, gate: CrashGate, created: list[str]) -> None:
        self._gate, self._created = gate, created

    async def before(self, write: Any) -> None:
        await self._gate.before(write)

    async def after(self, write: Any) -> None:
        if write.verb == "create" and write.resource == "jobs":
            self._created.append(write.name)
        await self._gate.after(write)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopApi]:
    with LaptopApi(Path(tmp_path_factory.mktemp("laptop"))) as api:
        prepared = Api.connect(api.kubeconfig)

        async def prepare() -> None:
            await install_crds(prepared)
            await prepared.close()

        asyncio.run(prepare())
        yield api


@pytest.fixture
async def admin(laptop: LaptopApi) -> AsyncIterator[Api]:
    api = Api.connect(laptop.kubeconfig)
    yield api
    await api.close()


async def begin(admin: Api, life: Life) -> Stage:
    namespace = await make_namespace(admin, f"life-{next(_names)}")
    await admin.request(
        "POST", RUNS[life.kind].path(namespace), body=run_object(life.kind, namespace, "run", life.spec)
    )
    return Stage(admin, life, namespace, ScriptedCluster(admin, namespace, life.script), Clock())


def feed_of(stage: Stage, fault: Fault | None = None) -> Feed:
    """Watch events of the stage's namespace."""
    return Feed(stage.admin, stage.namespace, kinds=[stage.life.kind], fault=fault)


def operator(stage: Stage, gate: CrashGate, *, comparable: bool = True) -> Driver:
    """A new operator process: nothing remembered, its own gate, the same connections."""
    api = copy.copy(stage.admin)
    api.gate = Recorder(gate, stage.created)
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
            return {key: plain(one) for key, one in value.items() if key not in times}
        if isinstance(value, list):
            return [plain(one) for one in value]
        # Pods have a serial number, which depends on how often anything was started.
        return re.sub(r"-\d{5}\b", "-POD", value.replace(stage.namespace, "NS")) if isinstance(value, str) else value

    children = await stage.admin.list(JOB, stage.namespace)
    events = await stage.admin.list(EVENT, stage.namespace)
    return End(
        plain(await stage.status()),
        sorted(one["metadata"]["name"] for one in children),
        sorted((one["reason"], plain(one["message"])) for one in events),
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
    driver.feed(("ADDED", one) for one in old)
    await driver.drain()
    await live(stage, driver, feed_of(stage))
    compare(await ended(stage, [first, second]), expected, stage)


async def each(cases: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run cases side by side, and tell of every one that failed."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Callable[[], Coroutine[Any, Any, None]]) -> BaseException | None:
        async with gate:
            try:
                await case()
            except AssertionError as error:
                return error
            return None

    failures = [error for error in await asyncio.gather(*map(one, cases)) if error is not None]
    assert not failures, f"{len(failures)} of {len(cases)} lives ended otherwise; the first: {failures[0]}"


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_a_crash_at_any_write_changes_nothing(admin: Api, life: Life) -> None:
    expected = await undisturbed(admin, life)
    total = len(expected.writes)
    assert total > 5
    # Dying before a write finds the API as dying after the former one does, so only the first needs both.
    points = [(1, False), *((at, True) for at in range(1, total + 1))]
    cases = [partial(with_crash, admin, life, at, after, expected) for at, after in points]
    await each(cases)


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_lost_repeated_and_reordered_events_change_nothing(admin: Api, life: Life) -> None:
    expected = await undisturbed(admin, life)

    async def disturbed(seed: int) -> None:
        stage = await begin(admin, life)
        gate = CrashGate()
        feed = feed_of(stage, shuffled(seed))
        await live(stage, operator(stage, gate), feed, resync_every=3)
        compare(await ended(stage, [gate]), expected, stage)

    await each([partial(disturbed, seed) for seed in range(4)])


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_an_operator_that_sees_only_old_lists_changes_nothing(admin: Api, life: Life) -> None:
    """Every event comes three rounds late, and the operator dies now and then and starts from such an old list."""
    expected = await undisturbed(admin, life)
    stage = await begin(admin, life)
    gates: list[CrashGate] = []
    late: list[list[Any]] = []

    def delayed(events: list[Any]) -> list[Any]:
        late.append(events)
        return late.pop(0) if len(late) > 3 else []

    feed = feed_of(stage, delayed)
    for at in (4, 9, 7, None):
        gates.append(CrashGate(at, after_write=True))
        driver = operator(stage, gates[-1])
        driver.feed(event for events in late for event in events)
        try:
            await live(stage, driver, feed, resync_every=5)
        except Crashed:
            continue
        break
    compare(await ended(stage, gates), expected, stage)


STALE = {
    "its children": ("Job",),
    "their pods": ("Pod",),
    "children and pods": ("Job", "Pod"),
    "the runs": tuple(RUNS),
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_a_cache_that_lags_in_some_kinds_changes_nothing(admin: Api, life: Life) -> None:
    """Each kind is watched by itself: what is told of one may be five rounds older than what is told of another, also
    to an operator that has just begun in the middle of it. No list heals it, only what is asked when it matters."""
    expected = await undisturbed(admin, life)

    async def lagging(stale: tuple[str, ...], comparable: bool) -> None:
        stage = await begin(admin, life)
        gates: list[CrashGate] = []
        late: list[list[Any]] = []

        def delayed(events: list[Any]) -> list[Any]:
            late.append([event for event in events if event[1]["kind"] in stale])
            now = [event for event in events if event[1]["kind"] not in stale]
            return now + (late.pop(0) if len(late) > 5 else [])

        feed = feed_of(stage, delayed)
        old: list[Obj] = []
        for at in (5, 8, None):
            gates.append(CrashGate(at, after_write=True))
            driver = operator(stage, gates[-1], comparable=comparable)
            held = {one["metadata"]["uid"] for events in late for _, one in events}
            # What it lists at its start is as old as what is watched.
            driver.feed(("ADDED", one) for one in old if one["metadata"]["uid"] not in held)
            try:
                await live(stage, driver, feed, rounds=300, patience=6)
            except Crashed:
                old = await feed.snapshot()
                continue
            break
        compare(await ended(stage, gates), expected, stage, late=True)

    opaque = ("children and pods", "the runs")
    await each(
        [partial(lagging, kinds, True) for kinds in STALE.values()]
        + [partial(lagging, STALE[name], False) for name in opaque]
    )


async def test_a_quiet_cluster_sees_no_write(admin: Api) -> None:
    """Waiting, suspended, finished and refused runs, through resyncs and an hour of the clock."""
    namespace = await make_namespace(admin, "quiet")
    specs = {
        "waiting": ("FineTuneRun", FINE_TUNE_SPEC),
        "suspended": ("DatasetBuild", {**DATASET_SPEC, "suspend": True}),
        "refused": ("DatasetBuild", {**DATASET_SPEC, "recipe": "opera"}),
        "finished": ("DatasetBuild", DATASET_SPEC),
        "running": ("FineTuneRun", TUNE),
    }
    for name, (kind, spec) in specs.items():
        await admin.request("POST", RUNS[kind].path(namespace), body=run_object(kind, namespace, name, spec))

    def script(task: Task) -> Ending:
        return Ending(hangs=True) if task.stage == "train" else success(task)

    stage = Stage(admin, LIVES["a build"], namespace, ScriptedCluster(admin, namespace, script), Clock())
    gate = CrashGate()
    driver = operator(stage, gate)
    feed = Feed(admin, namespace)
    await live(stage, driver, feed)
    states = {
        name: (await admin.get(RUNS[kind], namespace, name) or {})["status"]["state"]
        for name, (kind, _) in specs.items()
    }
    assert states == {
        "waiting": "Pending",
        "suspended": "Suspended",
        "refused": "Failed",
        "finished": "Succeeded",
        "running": "Running",
    }
    before = len(gate.writes)
    for _ in range(5):
        stage.clock.ahead += timedelta(minutes=12)
        driver.feed(await feed.events())
        await driver.resync(namespace)
    assert [str(write) for write in gate.writes[before:]] == []
