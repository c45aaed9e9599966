"""Who may report, how often, and for which shard: over HTTP, with a tenant's tokens, one row for each."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support import tenant

from fabula_operator.handlers.limits import Buckets
from fabula_operator.handlers.reports import Reports
from fabula_operator.handlers.status_server import StatusServer
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import Obj, Resource
from fabula_operator.kube.token_review import CACHED_TOKENS, TokenReviewer

URL = "/v1alpha1/namespaces/{}/datasetbuilds/{}/status"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Reviews(Api):
    """An API server that reviews tokens; those that are signed `good` are its own."""

    def __init__(self) -> None:
        self.asked = 0

    async def review(self, resource: Resource, body: Obj) -> Obj:
        self.asked += 1
        _, payload, signature = body["spec"]["token"].split(".")
        if signature != "good":
            return {"status": {"authenticated": False}}
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        told = claims["kubernetes.io"]
        extra = {"authentication.kubernetes.io/pod-name": [told["pod"]["name"]]} if "pod" in told else {}
        user = {"username": f"system:serviceaccount:{told['namespace']}:default", "extra": extra}
        return {"status": {"authenticated": True, "audiences": claims["aud"], "user": user}}


@dataclass
class World:
    """A build at work with two pods, and the server that they report to."""

    cache: Cache = field(default_factory=Cache)
    reports: Reports = field(default_factory=Reports)
    api: Reviews = field(default_factory=Reviews)
    time: float = 0.0
    complete: bool = True
    changed: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        meta = {"name": "data", "namespace": "team", "uid": tenant.RUN, "resourceVersion": "1"}
        self.run = {"kind": "DatasetBuild", "metadata": meta, "spec": {}, "status": {"state": "Running"}}
        self.cache.put(self.run)
        self.cache.put(tenant.owned("Job", "own", tenant.RUN))
        for shard in range(2):
            self.cache.put(self.pod(shard))
        limit = Buckets(1, 5, now=lambda: self.time)
        self.server = StatusServer(
            self.cache, self.reports, TokenReviewer(self.api, limit.take), self.changed.append, lambda: NOW, self.read,
            complete=lambda: self.complete, pods=Buckets(8, 40, now=lambda: self.time),
        )  # fmt: skip

    def pod(self, shard: int, **labels: str) -> dict[str, Any]:
        pod = tenant.owned("Pod", f"pod-{shard}", "u-team-own", owner_kind="Job")
        pod["metadata"]["labels"] |= {"fabula.dev/stage": "extract", "fabula.dev/attempt": "1", **labels}
        pod["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": str(shard)}
        return pod

    async def read(self, namespace: str, name: str) -> Obj | None:
        return None

    def kept(self) -> list[tuple[str, str | None, int, int]]:
        found = [one.body for one in self.reports.of(tenant.RUN)]
        return [(one.stage, one.arm, one.shard, one.attempt) for one in found]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def http(world: World) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(world.server.application())) as client:
        yield client


async def post(
    http: TestClient[Any, Any], token: str, body: object = None, namespace: str = "team", run: str = "data"
) -> tuple[int, str]:
    content = json.dumps(tenant.report(stage="extract") if body is None else body)
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(URL.format(namespace, run), data=content, headers=headers) as answer:
        return answer.status, await answer.text()


GOOD = tenant.token(audience=tenant.AUDIENCE)


@pytest.mark.parametrize("token", tenant.tokens().values(), ids=tenant.tokens())
async def test_a_token_of_nobody_gets_the_answer_of_a_run_that_is_not_there(
    world: World, http: TestClient[Any, Any], token: str
) -> None:
    missing = await post(http, GOOD, run="nothing")
    assert missing[0] == 403
    assert await post(http, token) == missing
    assert await post(http, GOOD, namespace="elsewhere") == missing
    assert world.kept() == []


async def test_before_all_is_known_nobody_is_told_anything_but_to_ask_again(
    world: World, http: TestClient[Any, Any]
) -> None:
    world.complete = False
    assert {(await post(http, GOOD, run=run))[0] for run in ("data", "nothing")} == {503}
    assert (world.kept(), world.changed) == ([], [])
    world.complete = True
    assert (await post(http, GOOD))[0] == 200


async def test_a_token_without_a_pod_is_refused(world: World, http: TestClient[Any, Any]) -> None:
    code, text = await post(http, tenant.token(pod=None, audience=tenant.AUDIENCE))
    assert (code, "bound to no pod" in text) == (403, True)
    assert world.kept() == []


async def test_a_pod_tells_of_its_own_shard_whatever_it_says(world: World, http: TestClient[Any, Any]) -> None:
    for shard in range(30):
        body = tenant.report(stage="assemble", arm="base", shard=shard, attempt=shard + 1, done=shard)
        assert (await post(http, GOOD, body))[0] == 200
    assert world.kept() == [("extract", None, 0, 1)]


async def test_a_pod_whose_labels_change_leaves_nothing_behind(world: World, http: TestClient[Any, Any]) -> None:
    for attempt in range(1, 20):
        pod = world.pod(0, **{"fabula.dev/attempt": str(attempt)})
        pod["metadata"]["resourceVersion"] = str(int(pod["metadata"]["resourceVersion"]) + attempt)
        world.cache.put(pod)
        assert (await post(http, GOOD))[0] == 200
    assert world.kept() == [("extract", None, 0, 19)]


@pytest.mark.parametrize("labels", [{"fabula.dev/attempt": "x"}, {"fabula.dev/stage": ""}, {"fabula.dev/attempt": "0"}])
async def test_labels_that_no_child_has_are_refused(
    world: World, http: TestClient[Any, Any], labels: dict[str, str]
) -> None:
    pod = world.pod(0, **labels)
    pod["metadata"]["resourceVersion"] += "0"
    world.cache.put(pod)
    assert (await post(http, GOOD))[0] == 400


@pytest.mark.parametrize("body", tenant.reports().values(), ids=tenant.reports())
async def test_no_report_breaks_the_server(world: World, http: TestClient[Any, Any], body: dict[str, Any]) -> None:
    assert (await post(http, GOOD, body))[0] in (200, 400)
    assert (await post(http, GOOD))[0] == 200


@pytest.mark.parametrize("text", ["[" * 20_000, "]", '{"trainerStatus":', "\xff", '{"trainerStatus":{},"fabula":[1]}'])
async def test_what_is_no_report_is_said(http: TestClient[Any, Any], text: str) -> None:
    headers = {"Authorization": f"Bearer {GOOD}"}
    async with http.post(URL.format("team", "data"), data=text.encode("latin-1"), headers=headers) as answer:
        assert answer.status == 400


async def test_one_pod_that_reports_without_end_takes_nothing_from_another(
    world: World, http: TestClient[Any, Any]
) -> None:
    codes = [(await post(http, GOOD))[0] for _ in range(60)]
    assert codes == [200] * 40 + [429] * 20
    assert (await post(http, tenant.token(pod="pod-1", audience=tenant.AUDIENCE)))[0] == 200
    world.time += 1
    assert (await post(http, GOOD))[0] == 200


async def test_tokens_that_claim_nothing_cost_no_review_and_others_only_so_many(
    world: World, http: TestClient[Any, Any]
) -> None:
    assert (await post(http, GOOD))[0] == 200
    for _ in range(20):
        await post(http, "nonsense")
        await post(http, tenant.token("elsewhere", audience=tenant.AUDIENCE))
    assert world.api.asked == 1
    codes = [(await post(http, GOOD.replace(".good", f".bad{n}")))[0] for n in range(20)]
    assert codes == [403] * 4 + [429] * 16
    assert world.api.asked == 5
    # Whose token is known goes on.
    assert (await post(http, GOOD))[0] == 200


async def test_a_deleted_runs_pods_are_told_to_stop_and_nobody_else(world: World, http: TestClient[Any, Any]) -> None:
    world.cache.drop(world.run)
    code, text = await post(http, GOOD)
    assert (code, json.loads(text)["stop"]) == (200, True)
    assert (await post(http, tenant.token(audience="other")))[0] == 403


async def test_answers_of_tokens_are_remembered_for_so_many(world: World) -> None:
    reviewer = TokenReviewer(world.api)
    for n in range(CACHED_TOKENS + 5):
        await reviewer.caller(tenant.token(pod=f"p{n}", audience="a"), "team", "a")
    assert len(reviewer) == CACHED_TOKENS


def test_buckets_forget_who_asked_least() -> None:
    buckets = Buckets(1, 2, remembered=3, now=lambda: 0.0)
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
    for key in "bcd":
        assert buckets.take(key)
    assert len(buckets) == 3
    assert buckets.take("a")
