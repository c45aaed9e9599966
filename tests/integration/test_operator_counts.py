"""How often the API server is asked and written to, counted: for a new run, for many, and when nothing happens."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    DATASET_SPEC,
    FINE_TUNE_SPEC,
    Driver,
    Feed,
    install_crds,
    make_namespace,
    run_object,
)
from tests.support.scripted_cluster import ScriptedCluster, digest

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import RUNS, Obj


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopApi]:
    with LaptopApi(Path(tmp_path_factory.mktemp("laptop"))) as api:

        async def prepare() -> None:
            admin = Api.connect(api.kubeconfig)
            await install_crds(admin)
            await admin.close()

        asyncio.run(prepare())
        yield api


class CountingApi(Api):
    """Counts requests by verb and resource; a list by `list`, whatever it selects."""

    asked: Counter[str]

    async def request(self, method: str, path: str, **more: Any) -> Any:
        if path.startswith(("/api/", "/apis/")) and "/" in path.removeprefix("/apis/"):
            parts = path.split("/namespaces/", 1)
            names = parts[1].split("/")[1:] if len(parts) == 2 else [path.rsplit("/", 1)[1]]
            verb = "list" if method == "GET" and len(names) == 1 else method.lower()
            self.asked[f"{verb} {'/'.join([names[0], *names[2:]])}"] += 1
        return await super().request(method, path, **more)


@pytest.fixture
async def api(laptop: LaptopApi) -> AsyncIterator[Api]:
    api = Api.connect(laptop.kubeconfig)
    yield api
    await api.close()


class World:
    """A namespace, an operator on it, and what the operator asked."""

    def __init__(self, admin: Api, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace
        self.api = copy.copy(admin)
        self.api.__class__ = CountingApi
        self.asked: Counter[str] = Counter()
        self.api.asked = self.asked  # type: ignore[attr-defined]
        began = datetime.now(UTC)
        # Time stands still: what is remembered for a while stays remembered on a slow machine.
        self.driver = Driver(self.api, lambda: began)
        self.feed = Feed(admin, namespace)

    async def create(self, kind: str, name: str, spec: Obj) -> Obj:
        made: Obj = await self.admin.request(
            "POST", RUNS[kind].path(self.namespace), body=run_object(kind, self.namespace, name, spec)
        )
        return made

    async def look(self) -> dict[str, int]:
        """Take what happened, look until nothing is due, and tell what was asked for that."""
        self.asked.clear()
        self.driver.feed(await self.feed.events())
        await self.driver.drain()
        self.driver.feed(await self.feed.events())
        await self.driver.drain()
        return dict(self.asked)


@pytest.fixture
async def world(api: Api, request: pytest.FixtureRequest) -> World:
    return World(api, await make_namespace(api, f"counts-{abs(hash(request.node.name)) % 10**8}"))


NEW = {"post events": 1, "patch datasetbuilds/status": 1, "post jobs": 1}
CERTIFICATE = {"get configmaps": 1, "post configmaps": 1}


async def test_a_new_run_costs_three_writes_and_no_read_but_that_of_its_namespaces_certificate(world: World) -> None:
    await world.create("DatasetBuild", "first", DATASET_SPEC)
    assert await world.look() == {**NEW, **CERTIFICATE}
    await world.create("DatasetBuild", "second", DATASET_SPEC)
    assert await world.look() == NEW


async def test_reads_do_not_grow_with_the_number_of_objects(world: World) -> None:
    for number in range(12):
        await world.create("DatasetBuild", f"data-{number}", DATASET_SPEC)
    asked = await world.look()
    assert asked == {**{what: 12 * count for what, count in NEW.items()}, **CERTIFICATE}
    cluster = ScriptedCluster(world.admin, world.namespace)
    total: Counter[str] = Counter()
    for _ in range(30):
        moved = await cluster.step()
        total.update(await world.look())
        if not moved:
            break
    lists = {what: count for what, count in total.items() if what.startswith("list")}
    reads = {what: count for what, count in total.items() if what.startswith("get")}
    assert (lists, reads) == ({}, {}), "a build that ends well is told by what is there"


async def test_a_run_reads_by_name_what_it_names(world: World) -> None:
    made = await world.create("DatasetBuild", "data", DATASET_SPEC)
    artifact = {"uri": "file:///artifacts/data", "digest": digest("data")}
    done = {"state": "Succeeded", "observedGeneration": 1, "finishedAt": "2026-01-01T00:00:00Z", "artifact": artifact}
    patch = {"metadata": {"uid": made["metadata"]["uid"]}, "status": done}
    await world.admin.patch(RUNS["DatasetBuild"], world.namespace, "data", patch, "status")
    await world.look()
    await world.create("FineTuneRun", "tune", FINE_TUNE_SPEC)
    asked = await world.look()
    reads = {what: count for what, count in asked.items() if what.startswith(("get", "list"))}
    assert reads == {"get datasetbuilds": 1, "get configmaps": 1}


async def test_a_resync_is_a_list_of_each_kind_and_a_restart_is_no_more(world: World) -> None:
    for number in range(5):
        await world.create("DatasetBuild", f"data-{number}", DATASET_SPEC)
    await world.look()
    lists = {f"list {resource.plural}": 1 for resource in RUNS.values()} | {"list jobs": 1, "list pods": 1}
    world.asked.clear()
    await world.driver.resync(world.namespace)
    assert dict(world.asked) == lists
    again = World(world.admin, world.namespace)
    await again.driver.resync(world.namespace)
    assert dict(again.asked) == lists
