"""Dataset, adapter and score, one chain on the laptop's API server, with a scripted cluster instead of workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
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
from tests.support.scripted_cluster import ScriptedCluster

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import RUNS, Obj

SPECS = {
    "DatasetBuild": ("data", DATASET_SPEC),
    "FineTuneRun": ("tune", FINE_TUNE_SPEC),
    "EvalRun": ("eval", EVAL_SPEC),
}


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopApi]:
    with LaptopApi(Path(tmp_path_factory.mktemp("laptop"))) as api:
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
    await install_crds(api)
    namespace = await make_namespace(api, "chain")
    await create_all(api, namespace)
    clock = Clock()
    driver, feed, cluster = Driver(api, clock), Feed(api, namespace), ScriptedCluster(api, namespace)
    driver.feed(await feed.events())
    await driver.drain()
    tune = await api.get(RUNS["FineTuneRun"], namespace, "tune")
    assert tune is not None
    assert tune["status"]["reason"] == "WaitingForDataset"
    assert len(tune["status"]["conditions"]) == 8
    await settle(driver, feed, cluster)
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
