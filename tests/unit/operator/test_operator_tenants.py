"""Nothing that a tenant writes stops the operator: forged objects, reports and last words, row by row."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support import tenant
from tests.support.observations import NOW, complete, observed, step

from fabula_api.outside import MOST, camel_reason, plain, read_json, read_outside, whole
from fabula_api.recipes import Kind
from fabula_api.worker import ProgressBody, StageReport
from fabula_kube.work_queue import WorkQueue
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.sight import see
from fabula_operator.main import FORMAT, PlainFormatter
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Child
from fabula_operator.plan.seen.observed import Environment, Observed

BUILD = Key("DatasetBuild", "team", "data")


def valid(status: Any) -> None:
    """The API server takes it: the model does, and every number is one that JSON's readers agree on."""
    wire = status.to_wire()
    type(status).model_validate(wire)
    text = json.dumps(wire, allow_nan=False)
    assert text == plain(text)
    text.encode()

    def numbers(value: Any) -> None:
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            numbers(one)
        assert not isinstance(value, int) or abs(value) <= MOST

    numbers(wire)


def seen_by(cache: Cache) -> Observed:
    found = see(cache, BUILD, Environment("file:///a"), (), None)
    assert found is not None
    return found


def cache_with_a_build() -> Cache:
    cache = Cache()
    meta = {"name": "data", "namespace": "team", "uid": tenant.RUN, "resourceVersion": "1"}
    cache.put({"kind": "DatasetBuild", "metadata": meta})
    cache.put(tenant.owned("Job", "own", tenant.RUN))
    return cache


async def test_a_tenant_with_five_thousand_runs_delays_anothers_new_one_by_one_look() -> None:
    queue: WorkQueue[Key] = WorkQueue(lambda key: key.namespace)
    for number in range(5000):
        queue.add(Key("DatasetBuild", "many", f"run-{number}"))
    first = await queue.get()
    new = Key("DatasetBuild", "few", "new")
    queue.add(new)
    taken = [await queue.get(), await queue.get()]
    assert new in taken
    queue.done(first)
    assert [(await queue.get()).name for _ in range(2)] == ["run-2", "run-3"]
    assert len(queue) == 4996


async def test_tenants_take_turns_and_none_is_lost() -> None:
    queue: WorkQueue[str] = WorkQueue(lambda key: key[0])
    for key in ("a1", "a2", "a3", "b1", "c1", "a1", "c2"):
        queue.add(key)
    assert [await queue.get() for _ in range(len(queue))] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert not len(queue)


@pytest.mark.parametrize("before", [True, False], ids=["before the run", "after the run"])
@pytest.mark.parametrize("obj", tenant.forged().values(), ids=tenant.forged())
def test_a_forged_object_is_nobodys_child(obj: dict[str, Any], before: bool) -> None:
    cache = Cache()
    if before:
        cache.put(obj)
    for one in (*cache_with_a_build().runs(), tenant.owned("Job", "own", tenant.RUN)):
        cache.put(one)
    if not before:
        cache.put(obj)
    seen = seen_by(cache)
    assert [child.name for child in seen.children] == ["own"]
    assert seen.pods == ()
    cache.drop(obj)
    assert [child.name for child in seen_by(cache).children] == ["own"]


def test_a_forged_object_of_another_namespace_wakes_nobody() -> None:
    cache = cache_with_a_build()
    assert cache.put(tenant.owned("Job", "job", tenant.RUN, namespace="elsewhere")) == set()


def test_failed_indexes_are_those_that_the_child_has() -> None:
    job = tenant.owned("Job", "own", tenant.RUN)
    job["spec"]["completions"] = 3
    job["status"] = {"failedIndexes": "1-300000000,5,x,2-,-4"}
    assert Child.from_object(job).failed_indexes == {1, 2}


@pytest.mark.parametrize("body", tenant.reports().values(), ids=tenant.reports())
def test_a_report_is_refused_or_makes_a_valid_status(body: dict[str, Any]) -> None:
    try:
        report = ProgressBody.model_validate(read_outside(json.dumps(body))).fabula
    except (ValidationError, ValueError):
        return
    assert report is not None
    seen, _ = step(observed("FineTuneRun"))
    reports = Reports()
    child = seen.children[-1]
    reports.put("u", report.replace(attempt=1, shard=0), seen.pods[0].name, NOW, trains=True)
    made = plan(replace(seen, reports=reports.of("u")), NOW)
    assert child.stage == "train"
    valid(made.status)


@pytest.mark.parametrize("kind", ["DatasetBuild", "FineTuneRun", "EvalRun"])
@pytest.mark.parametrize("message", tenant.results().values(), ids=tenant.results())
def test_a_last_word_ends_its_own_run_or_makes_a_valid_status(message: str, kind: Kind) -> None:
    seen, _ = step(observed(kind))
    for _ in range(8):
        told = complete(seen, artifact={"uri": "file:///a", "digest": tenant.DIGEST})
        pods = tuple(replace(pod, termination_message=message) for pod in told.pods)
        seen, made = step(replace(told, pods=pods))
        if made.status is not None:
            valid(made.status)
    assert seen.run.status.finished_at is not None


@pytest.mark.parametrize("message", tenant.results().values(), ids=tenant.results())
def test_a_last_word_of_a_pod_that_failed_makes_a_valid_status(message: str) -> None:
    for kind in ("DatasetBuild", "FineTuneRun"):
        seen, _ = step(observed(kind, {"retries": {"failure": 0, "infrastructure": 0}}))  # type: ignore[arg-type]
        child = replace(seen.children[0], failed=True, reason="BackoffLimitExceeded", finished_at=NOW)
        pod = replace(seen.pods[0], phase="Failed", exit_code=1, termination_message=message, finished_at=NOW)
        valid(plan(replace(seen, children=(child,), pods=(pod,)), NOW).status)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("OOMKilled", "OOMKilled"), ("[/x] a b", "xab"), ("", "Reason"), ("9lives", "Reason9lives"), ("\u0661", "Reason")],
)
def test_reasons_from_outside_are_made_safe(text: str, reason: str) -> None:
    assert camel_reason(text) == reason
    assert len(camel_reason("x" * 5000)) == 128


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        (3.9, 3),
        ("7", 7),
        (2**53, None),
        (-1, None),
        (1e300, None),
        (float("nan"), None),
        (True, None),
        ("\u0667", None),
        ("1" * 5000, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_count_is_one_or_none(value: object, count: int | None) -> None:
    assert whole(value) == count


@pytest.mark.parametrize("text", tenant.TEXTS.values(), ids=tenant.TEXTS)
def test_the_operators_log_has_one_safe_line_for_each_record(text: str) -> None:
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "pod %s", (text,), None)
    line = PlainFormatter(FORMAT).format(record)
    assert line == plain(line)


def test_json_that_is_nested_too_deep_is_no_json() -> None:
    for data in ("[" * 100_000, "[" * 70 + "]" * 70):
        with pytest.raises(ValueError, match=r"nested|Expecting"):
            read_json(data)
    assert read_json("[" * 60 + "]" * 60)


def test_a_worker_cannot_even_build_a_report_that_the_operator_would_refuse() -> None:
    with pytest.raises(ValidationError):
        StageReport(stage="train", done=-1)
