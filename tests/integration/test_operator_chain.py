"""Dataset, adapter and score, one chain on the laptop's API server, with a scripted cluster instead of workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.kueue import WORKLOAD_CRD
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    CRD,
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
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task, digest

from fabula_api.worker import StageReport
from fabula_operator.kube.cache import Key
from fabula_operator.kube.client import Api, ApiError, Write
from fabula_operator.kube.resources import CONFIG_MAP, JOB, RUNS, SERVICE, WORKLOAD, Obj

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
    clock.ahead += timedelta(seconds=11)
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
        assert again.act is None
        assert again.tell is None or 0 < again.tell <= 10
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


TUNE_OF_A_FOLDER = {
    **FINE_TUNE_SPEC,
    # With their digests told, there is no look before the training.
    "dataset": {"uri": "datasets/vist", "digest": digest("vist")},
    "model": {**FINE_TUNE_SPEC["model"], "digest": digest("model")},
}


async def tuning(api: Api, namespace: str) -> Obj:
    run = await api.get(RUNS["FineTuneRun"], namespace, "tune")
    assert run is not None
    return run


async def test_a_queued_run_tells_kueues_words_and_starts_once_it_is_admitted(api: Api) -> None:
    namespace = await make_namespace(api, "queue")
    await api.request("POST", CRD.path(), body=WORKLOAD_CRD)
    spec = {**TUNE_OF_A_FOLDER, "queue": "gpus"}
    path = RUNS["FineTuneRun"].path(namespace)
    await api.request("POST", path, body=run_object("FineTuneRun", namespace, "tune", spec))
    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace)
    await settle(driver, feed, cluster)
    assert (await tuning(api, namespace))["status"]["reason"] == "QueueNotAdmitted"
    (job,) = await api.list(JOB, namespace)
    assert job["spec"]["suspend"] is True
    why = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu, 8 more needed"
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {
            "name": "job-tune",
            "namespace": namespace,
            "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]},
        },
        "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": why}]},
    }
    await api.request("POST", WORKLOAD.path(namespace), body=workload)
    await driver.observer.discover()
    assert driver.observer.admissions.installed
    await driver.resync(namespace)
    conditions = (await tuning(api, namespace))["status"]["conditions"]
    assert next(one["message"] for one in conditions if one["type"] == "Running") == why
    await api.patch(JOB, namespace, job["metadata"]["name"], {"spec": {"suspend": False}})
    await settle(driver, feed, cluster)
    assert (await tuning(api, namespace))["status"]["state"] == "Succeeded"
    assert list(cluster.runs.values()) == [1]


async def test_two_nodes_on_a_job_have_a_service_of_their_run(api: Api) -> None:
    namespace = await make_namespace(api, "nodes")
    spec = {**TUNE_OF_A_FOLDER, "backend": "Job", "topology": {"nodes": 2, "gpusPerNode": 1, "device": "cpu"}}
    path = RUNS["FineTuneRun"].path(namespace)
    await api.request("POST", path, body=run_object("FineTuneRun", namespace, "tune", spec))
    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace)
    await settle(driver, feed, cluster)
    run = await tuning(api, namespace)
    assert run["status"]["state"] == "Succeeded"
    (service,) = await api.list(SERVICE, namespace)
    assert service["spec"]["clusterIP"] == "None"
    assert [owner["uid"] for owner in service["metadata"]["ownerReferences"]] == [run["metadata"]["uid"]]
    assert sorted(index for _, index in cluster.runs) == [0, 1]


async def test_of_two_runs_that_make_the_same_one_waits_and_takes_what_the_other_commits(api: Api) -> None:
    namespace = await make_namespace(api, "twins")
    names = ("first", "second")
    for name in names:
        body = run_object("FineTuneRun", namespace, name, TUNE_OF_A_FOLDER)
        await api.request("POST", RUNS["FineTuneRun"].path(namespace), body=body)
    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace)
    driver.feed(await feed.events())
    driver.due.clear()
    # Both looks at once, as the operator takes them.
    await asyncio.gather(*(driver.reconciler.look(Key("FineTuneRun", namespace, name)) for name in names))
    started = [job["metadata"]["ownerReferences"][0]["name"] for job in await api.list(JOB, namespace)]
    assert len(started) == 1
    (other,) = set(names) - set(started)
    waiting = await api.get(RUNS["FineTuneRun"], namespace, other) or {}
    assert (waiting["status"]["state"], waiting["status"]["reason"]) == ("Pending", "WaitingForSameWork")
    assert f"{namespace}/{started[0]}" in next(
        one["message"] for one in waiting["status"]["conditions"] if one["type"] == "Running"
    )
    await settle(driver, feed, cluster)
    await driver.resync(namespace)  # in place of the time after which the other one looks again
    await settle(driver, feed, cluster)
    found = [(await api.get(RUNS["FineTuneRun"], namespace, name) or {})["status"] for name in names]
    assert [one["state"] for one in found] == ["Succeeded", "Succeeded"]
    ended, began = (found[names.index(name)]["attempts"][0] for name in (started[0], other))
    assert ended["finishedAt"] <= began["startedAt"]
