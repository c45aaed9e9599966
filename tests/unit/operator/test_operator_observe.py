"""A live read and news that come while it is under way: what began to be during the read is not taken for gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api
from fabula_operator.kube.observe import Observer
from fabula_operator.kube.resources import Obj, Resource
from fabula_operator.plan.observed import Environment

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

    def __init__(self, run: Obj | None, meanwhile: Callable[[str], None]) -> None:
        self._run, self._meanwhile = run, meanwhile

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        answer, self._run = self._run, build()
        self._meanwhile(resource.plural)
        return answer

    async def list(self, resource: Resource, namespace: str | None, labels: str | None = None) -> list[Obj]:
        self._meanwhile(resource.plural)
        return []


@pytest.mark.parametrize("during", ["jobs", "pods"])
async def test_what_is_created_while_a_list_is_on_its_way_stays(during: str) -> None:
    cache = Cache()
    cache.put(build())

    def create(asked: str) -> None:
        if asked == during:
            cache.put(owned("Job", "job"))
            cache.put(owned("Pod", "pod", "u-job"))

    await Observer(Answers(build(), create), cache).run(KEY)
    seen = cache.observed(KEY, Environment("file:///a"), (), None)
    assert seen is not None
    assert ([one.name for one in seen.children], [one.name for one in seen.pods]) == (["job"], ["pod"])


async def test_what_was_known_before_and_is_in_no_list_is_gone() -> None:
    cache = Cache()
    cache.put(build())
    cache.put(owned("Job", "job"))
    await Observer(Answers(build(), lambda asked: None), cache).run(KEY)
    seen = cache.observed(KEY, Environment("file:///a"), (), None)
    assert seen is not None
    assert seen.children == ()


async def test_a_run_that_is_created_while_it_is_asked_for_stays() -> None:
    cache = Cache()
    created: list[Any] = []

    def create(asked: str) -> None:
        if asked == "datasetbuilds" and not created:
            created.append(cache.put(build()))

    await Observer(Answers(None, create), cache).run(KEY)
    assert cache.get(KEY) is not None
