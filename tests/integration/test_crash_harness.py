"""Crashes at every write, stale lists, lost, repeated and reordered events: each life must end as an undisturbed one.

The operator is driven without kopf, over the same kube layer; a scripted cluster moves the children. After each crash a
new operator starts from nothing but the API. The oracle is the same each time: the same children by name, the same
status but for times, no child created twice, no pod run twice, two attempts never at once, and then no more writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    DATASET_SPEC,
    FINE_TUNE_SPEC,
    Clock,
    Crashed,
    CrashGate,
    Feed,
    install_crds,
    make_namespace,
    run_object,
    shuffled,
)
from tests.support.operator_lives import (
    LIVES,
    TUNE,
    Life,
    Stage,
    View,
    begin,
    compare,
    each,
    ended,
    feed_of,
    live,
    operator,
    undisturbed,
    with_crash,
)
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task, success

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import RUNS, Obj


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
        "refused": ("DatasetBuild", {"recipe": "opera"}),
        "finished": ("DatasetBuild", DATASET_SPEC),
        "running": ("FineTuneRun", TUNE),
    }
    for name, (kind, spec) in specs.items():
        await admin.request("POST", RUNS[kind].path(namespace), body=run_object(kind, namespace, name, spec))

    def script(task: Task) -> Ending:
        return Ending(hangs=True) if task.stage == "train" else success(task)

    view = View(admin)
    stage = Stage(admin, LIVES["a build"], namespace, view, ScriptedCluster(view, namespace, script), Clock())
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
