"""A live read and news that come while it is under way: what began to be during the read is not taken for gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest

from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api
from fabula_operator.kube.observe import Observer
from fabula_operator.kube.own_writes import Written, comparable
from fabula_operator.kube.resources import Obj, Resource
from fabula_operator.kube.sight import see
from fabula_operator.plan.lifecycle.evidence import Evidence
from fabula_operator.plan.seen.observed import Environment

KEY = Key("DatasetBuild", "team", "data")


def build(version: int = 1) -> Obj:
    meta = {"name": "data", "namespace": "team", "uid": "u-data", "resourceVersion": str(version)}
    return {"kind": "DatasetBuild", "metadata": meta}


def owned(kind: str, name: str, owner: str = "u-data") -> Obj:
    meta = {
        "name": name, "namespace": "team", "uid": f"u-{name}", "resourceVersion": "9",
        "labels": {"fabula.dev/run-uid": "u-data"},
        "ownerReferences": [{"kind": "Job", "uid": owner, "controller": True}],
    }  # fmt: skip
    return {"kind": kind, "metadata": meta}


class Answers(Api):
    """An API server whose answers are older than what is heard while they are on their way."""

    def __init__(self, meanwhile: Callable[[str], None], there: Mapping[str, Obj] | None = None) -> None:
        self._meanwhile, self._there = meanwhile, there or {}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        answer = self._there.get(name)
        self._meanwhile(resource.plural)
        return answer

    async def pages(
        self, resource: Resource, namespace: str | None, labels: str | None = None
    ) -> AsyncIterator[Sequence[Obj]]:
        self._meanwhile(resource.plural)
        yield [one for one in self._there.values() if one["kind"] == resource.kind]


def seen(cache: Cache) -> tuple[list[str], list[str]]:
    found = see(cache, KEY, Environment("file:///a"), (), None)
    assert found is not None
    return [one.name for one in found.children], [one.name for one in found.pods]


@pytest.mark.parametrize("during", ["datasetbuilds", "jobs", "pods"])
async def test_what_is_created_while_its_kind_is_listed_stays(during: str) -> None:
    cache, there = Cache(), [build(), owned("Job", "job"), owned("Pod", "pod", "u-job")]
    late = there.pop(["datasetbuilds", "jobs", "pods"].index(during))

    def create(asked: str) -> None:
        if asked == during:
            cache.put(late)

    await Observer(Answers(create, {one["metadata"]["name"]: one for one in there}), cache).everything(None)
    assert seen(cache) == (["job"], ["pod"])


async def test_what_was_known_before_and_is_in_no_list_is_gone() -> None:
    cache = Cache()
    for one in (build(), owned("Job", "job"), owned("Pod", "pod", "u-job")):
        cache.put(one)
    changed = await Observer(Answers(lambda asked: None, {"data": build()}), cache).everything(None)
    assert (changed, seen(cache)) == ({KEY}, ([], []))
    assert await Observer(Answers(lambda asked: None, {"data": build()}), cache).everything(None) == set()
    await Observer(Answers(lambda asked: None), cache).everything(None)
    assert cache.get(KEY) is None


async def test_a_plan_that_rests_on_what_is_not_there_reads_children_by_name_and_then_their_pods() -> None:
    cache, asked = Cache(), list[str]()
    for one in (build(), owned("Job", "gone"), owned("Pod", "late", "u-gone")):
        cache.put(one)
    there = {"data": build(3), "pod": owned("Pod", "pod", "u-job")}
    await Observer(Answers(asked.append, there), cache).confirm(KEY, Evidence(run=True, pods=True))
    assert asked == ["datasetbuilds", "jobs", "pods"]
    assert seen(cache) == ([], ["pod"])


async def test_a_child_that_only_the_status_tells_of_is_read_before_it_is_taken_for_lost() -> None:
    cache, key = Cache(), Key("FineTuneRun", "team", "tune")
    stage = {"name": "train", "key": "sha256:" + "ab" * 32, "state": "Running"}
    before = {"name": "resolve", "key": "sha256:" + "cd" * 32, "state": "Succeeded"}
    status = {"stages": [before, stage], "attempts": [{"number": 2, "state": "Running"}]}
    meta = {"name": "tune", "namespace": "team", "uid": "u-data", "resourceVersion": "3"}
    cache.put({"kind": "FineTuneRun", "metadata": meta, "spec": {}, "status": status})
    child = owned("Job", "tune-train-abababab-2")
    await Observer(Answers(lambda asked: None, {"tune-train-abababab-2": child}), cache).confirm(
        key, Evidence(pods=True)
    )
    found = see(cache, key, Environment("file:///a"), (), None)
    assert found is not None
    assert [one.name for one in found.children] == ["tune-train-abababab-2"]


@pytest.mark.parametrize("during", ["jobs", "pods"])
async def test_what_is_created_while_it_is_read_stays(during: str) -> None:
    cache = Cache()
    for one in (build(), owned("Job", "job")):
        cache.put(one)

    def create(asked: str) -> None:
        if asked == during:
            cache.put(owned("Pod", "pod", "u-job"))
            cache.put(owned("Job", "another"))

    await Observer(Answers(create, {"job": owned("Job", "job")}), cache).confirm(KEY, Evidence(pods=True))
    assert seen(cache) == (["another", "job"], ["pod"])


async def test_our_own_write_is_waited_for_where_versions_cannot_be_compared() -> None:
    cache = Cache()
    cache.comparable = False
    cache.put(build())
    assert cache.wrote("u-data", build(5)) == {KEY}
    assert cache.own_writes.awaited("u-data") == [Written("DatasetBuild", "data")]
    assert cache.put(build(4)) == set()
    assert cache.own_writes.awaited("u-data")
    assert cache.put(build(5)) == {KEY}, "now it may be looked at"
    assert not cache.own_writes.awaited("u-data")
    cache.wrote("u-data", owned("Job", "job"))
    await Observer(Answers(lambda asked: None, {"job": owned("Job", "job")}), cache).own_writes(KEY, "u-data")
    assert not cache.own_writes.awaited("u-data")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ({"major": "1", "minor": "35"}, True),
        ({"major": "1", "minor": "37+"}, True),
        ({"major": "2", "minor": "0"}, True),
        ({"major": "1", "minor": "34"}, False),
        ({"major": "1", "minor": ""}, False),
        (None, False),
    ],
)
def test_versions_are_compared_where_that_is_documented(version: Obj | None, expected: bool) -> None:
    assert comparable(version) is expected
