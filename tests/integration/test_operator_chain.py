"""Dataset, adapter and score, one chain on the laptop's API server, with a scripted cluster instead of workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    DATASET_SPEC,
    EVAL_SPEC,
    FINE_TUNE_SPEC,
    Clock,
    CrashGate,
    Driver,
    Feed,
    install_crds,
    make_namespace,
    run_object,
)
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task

from fabula_api.worker import StageReport
from fabula_operator.kube.cache import Key
from fabula_operator.kube.client import Api, ApiError, Write
from fabula_operator.kube.resources import CONFIG_MAP, RUNS, Obj

SPECS = {
    "DatasetBuild": ("data", DATASET_SPEC),
    "FineTuneRun": ("tune", FINE_TUNE_SPEC),
    "EvalRun": ("eval", EVAL_SPEC),
}


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopApi]:
    with LaptopApi(Path(tmp_path_factory.mktemp("laptop"))) as api:

        async def prepare() -> None:
            admin = Api.connect(api.kubeconfig)
            await install_crds(admin)
            await admin.close()

        asyncio.run(prepare())
        yield api


@pytest.fixture
async def api(laptop: LaptopApi) -> AsyncIterator[Api]:
    api = Api.connect(laptop.kubeconfig, CrashGate())
    yield api
    await api.close()


async def create_all(api: Api, namespace: str) -> None:
    for kind, (name, spec) in SPECS.items():
        await api.request("POST", RUNS[kind].path(namespace), body=run_object(kind, namespace, name, spec))


async def settle(driver: Driver, feed: Feed, cluster: ScriptedCluster, rounds: int = 80) -> None:
    for _ in range(rounds):
        driver.feed(await feed.events())
        busy = bool(driver.due)
        await driver.drain()
        if not await cluster.step() and not busy:
            return
    raise AssertionError("it does not settle")


def condition(run: Obj, type_: str) -> str:
    return str(next(one["status"] for one in run["status"]["conditions"] if one["type"] == type_))


async def test_three_runs_applied_at_once_end_as_one_chain_of_digests(api: Api) -> None:
    namespace = await make_namespace(api, "chain")
    await create_all(api, namespace)
    clock = Clock()
    driver, feed, cluster = Driver(api, clock), Feed(api, namespace), ScriptedCluster(api, namespace)
    driver.feed(await feed.events())
    await driver.drain()
    tune = await api.get(RUNS["FineTuneRun"], namespace, "tune")
    assert tune is not None
    assert tune["status"]["reason"] == "WaitingForDataset"
    assert len(tune["status"]["conditions"]) == 9
    await api.request("DELETE", CONFIG_MAP.path(namespace, "fabula-status-ca"), body={})
    await settle(driver, feed, cluster)
    assert await api.get(CONFIG_MAP, namespace, "fabula-status-ca") is not None
    found = {kind: await api.get(RUNS[kind], namespace, name) or {} for kind, (name, _) in SPECS.items()}
    assert {kind: run["status"]["state"] for kind, run in found.items()} == dict.fromkeys(SPECS, "Succeeded")
    data, tune, score = (found[kind]["status"] for kind in SPECS)
    assert {"name": "dataset", **data["artifact"], "run": "DatasetBuild/data"} in tune["lineage"]
    assert {"name": "adapter/finetuned", **tune["adapter"], "run": "FineTuneRun/tune"} in score["lineage"]
    assert data["samples"] == 20
    assert tune["attempts"][0]["state"] == "Succeeded"
    assert score["score"] == "base 50% finetuned 50%"
    assert condition(found["EvalRun"], "GatesPassed") == "True"
    assert all(count == 1 for count in cluster.runs.values())
    assert len(cluster.runs) == 1 + 2 + 1 + 1 + 1 + 1 + 4 + 1


async def build(api: Api, namespace: str) -> Obj:
    run = await api.get(RUNS["DatasetBuild"], namespace, "data")
    assert run is not None
    return run


async def test_progress_is_written_at_most_once_in_ten_seconds(api: Api) -> None:
    namespace = await make_namespace(api, "progress")
    path = RUNS["DatasetBuild"].path(namespace)
    run = await api.request("POST", path, body=run_object("DatasetBuild", namespace, "data", DATASET_SPEC))

    def hangs(task: Task) -> Ending:
        return Ending(hangs=True)

    clock, cluster, feed = Clock(), ScriptedCluster(api, namespace, hangs), Feed(api, namespace)
    driver = Driver(api, clock, progress_seconds=10)
    await settle(driver, feed, cluster)
    gate = api.gate
    assert isinstance(gate, CrashGate)
    gate.writes.clear()
    clock.ahead += timedelta(seconds=20)
    for done in range(1, 61):
        report = StageReport(stage="ingest", done=done, total=100)
        driver.reports.put(run["metadata"]["uid"], report, None, clock())
        again = await driver.reconciler.look(Key("DatasetBuild", namespace, "data"))
        assert again is None or 0 < again <= 10
        clock.ahead += timedelta(seconds=1)
    assert {str(write.resource) for write in gate.writes} == {"datasetbuilds/status"}
    assert 6 <= len(gate.writes) <= 7
    assert (await build(api, namespace))["status"]["progress"]["done"] > 40


class Quota:
    """A gate that refuses Jobs as an exceeded quota would, while it is shut."""

    def __init__(self) -> None:
        self.shut = True

    async def before(self, write: Write) -> None:
        if self.shut and write.resource == "jobs":
            raise ApiError(403, "Forbidden", "exceeded quota: gpus")

    async def after(self, write: Write) -> None:
        return None


async def test_a_child_that_is_refused_is_said_on_the_run_and_tried_again(api: Api) -> None:
    namespace = await make_namespace(api, "quota")
    path = RUNS["DatasetBuild"].path(namespace)
    await api.request("POST", path, body=run_object("DatasetBuild", namespace, "data", DATASET_SPEC))
    quota = Quota()
    api.gate = quota
    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace)
    driver.feed(await feed.events())
    await driver.drain()
    waiting = await build(api, namespace)
    assert waiting["status"]["reason"] == "ChildRefused"
    assert "exceeded quota" in next(c["message"] for c in waiting["status"]["conditions"] if c["type"] == "Running")
    assert driver.later, "it is not tried again"
    quota.shut = False
    driver.due |= dict.fromkeys(driver.later)
    await settle(driver, feed, cluster)
    assert (await build(api, namespace))["status"]["state"] == "Succeeded"
