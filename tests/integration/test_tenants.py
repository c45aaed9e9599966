"""Tenants against the operator over a real API: what one run's pods say ends that run, and no other waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support import tenant
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    FINE_TUNE_SPEC,
    Clock,
    Driver,
    Feed,
    install_crds,
    make_namespace,
    run_object,
)
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task

from fabula_operator.kube.client import Api, ApiError, Write
from fabula_operator.kube.resources import EVENT, JOB, RUNS, Obj
from fabula_operator.plan.seen.observed import Environment

TUNE = {**FINE_TUNE_SPEC, "dataset": {"uri": "datasets/vist"}}


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
    api = Api.connect(laptop.kubeconfig)
    yield api
    await api.close()


async def tune(api: Api, namespace: str, name: str = "tune") -> None:
    body = run_object("FineTuneRun", namespace, name, {**TUNE, "training": {"seed": len(name)}})
    await api.request("POST", RUNS["FineTuneRun"].path(namespace), body=body)


async def status(api: Api, namespace: str, name: str = "tune") -> Obj:
    run = await api.get(RUNS["FineTuneRun"], namespace, name)
    assert run is not None
    return run.get("status") or {}


async def settle(driver: Driver, feed: Feed, cluster: ScriptedCluster) -> None:
    for _ in range(60):
        driver.feed(await feed.events())
        busy = bool(driver.due)
        await driver.drain()
        if not await cluster.step() and not busy:
            return
    raise AssertionError("it does not settle")


@pytest.mark.parametrize("place", ["reason", "message", "logTail"])
async def test_what_a_worker_says_of_its_failure_is_taken_by_the_api_server(api: Api, place: str) -> None:
    """Each text in each place, in attempts of one run for each text."""
    namespace = await make_namespace(api, f"texts-{place.lower()}")
    names = {f"tune-{'x' * n}{n}": text for n, text in enumerate(tenant.TEXTS.values(), 1)}
    for name in names:
        await tune(api, namespace, name)

    def ends(task: Task) -> Ending:
        text = names[task.config["run"]["name"]]
        said = {"reason": "Broke", "message": "it broke", place: [text] if place == "logTail" else text}
        return Ending(65, json.dumps({"outcome": "Failed", "failure": said}))

    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace, ends)
    await settle(driver, feed, cluster)
    for name in names:
        assert (await status(api, namespace, name))["state"] == "Failed", name


class Refuses:
    """A gate through which no status of one run passes that is not Failed, as an API server with other bounds would."""

    def __init__(self) -> None:
        self.left = 2

    async def before(self, write: Write) -> None:
        if write.resource == "finetuneruns/status" and write.name == "tune" and self.left:
            self.left -= 1
            raise ApiError(422, "Invalid", "status.metrics.step: must be of type integer")

    async def after(self, write: Write) -> None:
        return None


async def test_a_status_that_the_api_server_refuses_twice_ends_its_run_alone(api: Api) -> None:
    namespace = await make_namespace(api, "refused")
    await tune(api, namespace)
    await tune(api, namespace, "other")
    api.gate = Refuses()
    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace)
    await settle(driver, feed, cluster)
    ended = await status(api, namespace)
    assert (ended["state"], ended["reason"]) == ("Failed", "ResultUnreadable")
    assert "StatusRefused" in ended["failure"]["message"]
    assert (await status(api, namespace, "other"))["state"] == "Succeeded"
    told = [one["reason"] for one in await api.list(EVENT, namespace) if one["involvedObject"]["name"] == "tune"]
    assert "ResultUnreadable" in told


async def test_a_plan_that_raises_twice_ends_its_run_and_stops_its_children(api: Api) -> None:
    namespace = await make_namespace(api, "raises")
    await tune(api, namespace)
    driver, feed = Driver(api, Clock()), Feed(api, namespace)
    cluster = ScriptedCluster(api, namespace, lambda _: Ending(hangs=True))
    await settle(driver, feed, cluster)
    assert (await status(api, namespace))["state"] == "Running"
    usual, calls = driver.environment, iter(range(99))

    def broken() -> Environment:
        # The look raises, and what then reads the run to end it does not.
        if next(calls) in (0, 2):
            raise KeyError("what a worker said")
        return usual()

    driver.reconciler._environment = broken
    await driver.resync(namespace)
    ended = await status(api, namespace)
    assert (ended["state"], ended["reason"]) == ("Failed", "ResultUnreadable")
    assert "KeyError" in ended["failure"]["message"]
    assert "what a worker said" not in json.dumps(ended)
    assert [job["spec"].get("suspend") for job in await api.list(JOB, namespace)] == [True]


async def test_a_plan_that_raises_once_ends_nothing(api: Api) -> None:
    namespace = await make_namespace(api, "once")
    await tune(api, namespace)
    driver, feed, cluster = Driver(api, Clock()), Feed(api, namespace), ScriptedCluster(api, namespace)
    usual, calls = driver.environment, iter(range(99))

    def broken() -> Environment:
        if next(calls) == 0:
            raise KeyError("stale")
        return usual()

    driver.reconciler._environment = broken
    await settle(driver, feed, cluster)
    assert (await status(api, namespace))["state"] == "Succeeded"
