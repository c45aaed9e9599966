"""What Prometheus is told: requests by their kind, and the figures of runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from tests.support.observations import NOW

from fabula_api.worker import QuotaPart, StageReport
from fabula_kube.work_queue import Urgency, WorkQueue
from fabula_operator.handlers import run_series
from fabula_operator.handlers.call_metrics import CALL_METRICS
from fabula_operator.handlers.metrics import Metrics
from fabula_operator.handlers.run_metrics import RUN_METRICS
from fabula_operator.handlers.run_series import RunSeries
from fabula_operator.kube.cache import Cache
from fabula_operator.kube.resources import Request, request_of
from fabula_operator.plan.seen.observed import Report

RUNS = "/apis/fabula.dev/v1alpha1"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/namespaces/a/pods", Request("list", "pods")),
        ("GET", "/api/v1/namespaces/a/pods/p", Request("get", "pods")),
        ("GET", "/api/v1/pods", Request("list", "pods")),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", Request("create", "jobs")),
        ("PATCH", f"{RUNS}/namespaces/a/evalruns/e/status", Request("patch", "evalruns/status")),
        ("GET", f"{RUNS}/evalruns", Request("list", "evalruns")),
        ("DELETE", "/apis/batch/v1/namespaces/a/jobs/j", Request("delete", "jobs")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/s/leases/l", Request("update", "leases")),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", Request("create", "tokenreviews")),
        ("GET", "/apis/kubeflow.org/v1", Request("get", "discovery")),
        ("GET", "/apis", Request("get", "discovery")),
    ],
)
def test_a_request_is_named_as_kubernetes_names_it(method: str, path: str, expected: Request) -> None:
    assert request_of(method, path) == expected


def run(kind: str, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    meta = {"name": "tune", "namespace": "team", "uid": kind, "resourceVersion": "1"}
    return {"kind": kind, "metadata": meta, "spec": spec or {}, "status": status}


async def lines(*objects: dict[str, Any], reports: tuple[Report, ...] = ()) -> list[str]:
    cache = Cache()
    for obj in objects:
        cache.put(obj)
    text = await RunSeries(cache.packed, lambda uid: reports).text()
    return [line.replace('namespace="team",name="tune"', "RUN") for line in text.splitlines() if line[0] != "#"]


@pytest.mark.parametrize(
    ("obj", "line"),
    [
        (run("FineTuneRun", state="Pending", reason="QueueNotAdmitted"),
         'fabula_run_info{kind="FineTuneRun",RUN,state="Pending",reason="QueueNotAdmitted"} 1.0'),
        (run("DatasetBuild", {"budget": {"usd": 20}}, costUsd=18.5),
         'fabula_run_cost_usd{kind="DatasetBuild",RUN} 18.5'),
        (run("DatasetBuild", {"budget": {"usd": 20}}), 'fabula_run_budget_usd{kind="DatasetBuild",RUN} 20.0'),
        (run("DatasetBuild", bills=[{"stage": "extract", "paid": 7, "lost": 1, "input": 900}]),
         'fabula_provider_calls_total{kind="DatasetBuild",RUN,stage="extract",outcome="paid"} 7.0'),
        (run("DatasetBuild", bills=[{"stage": "extract", "paid": 7, "lost": 1, "input": 900}]),
         'fabula_provider_tokens_total{kind="DatasetBuild",RUN,stage="extract",direction="input"} 900.0'),
        (run("FineTuneRun", conditions=[{"type": "Stalled", "status": "True"}]),
         'fabula_run_stalled{kind="FineTuneRun",RUN} 1.0'),
        (run("FineTuneRun", conditions=[{"type": "Healthy", "status": "False", "reason": "LossNotFinite"}]),
         'fabula_training_unhealthy{kind="FineTuneRun",RUN,reason="LossNotFinite"} 1.0'),
        (run("FineTuneRun", conditions=[{"type": "Healthy", "status": "Unknown", "reason": "NotRunning"}]),
         'fabula_training_unhealthy{kind="FineTuneRun",RUN,reason="NotRunning"} 0.0'),
        (run("FineTuneRun", attempts=[{"number": 4}], earlierAttempts={"count": 3}),
         'fabula_training_attempts{kind="FineTuneRun",RUN} 4.0'),
        (run("FineTuneRun", checkpoint={"committedAt": "2026-11-01T00:00:00Z"}),
         'fabula_training_checkpoint_timestamp_seconds{kind="FineTuneRun",RUN} 1.7934912e+09'),
        (run("FineTuneRun", state="Running", attempts=[{"state": "Running", "startedAt": "2026-11-01T00:00:00Z"}]),
         'fabula_training_unsaved_timestamp_seconds{kind="FineTuneRun",RUN} 1.7934912e+09'),
        (run("FineTuneRun", state="Running", attempts=[
            {"state": "Running", "startedAt": "2026-10-01T00:00:00Z", "committedAt": "2026-11-01T00:00:00Z"}]),
         'fabula_training_unsaved_timestamp_seconds{kind="FineTuneRun",RUN} 1.7934912e+09'),
        (run("EvalRun", arms=[{"name": "base", "done": 8, "unparseable": 8}]),
         'fabula_eval_answers{kind="EvalRun",RUN,arm="base",outcome="unparseable"} 8.0'),
        (run("EvalRun", conditions=[{"type": "GatesPassed", "status": "Unknown"}]), None),
    ],
)  # fmt: skip
async def test_a_status_becomes_a_figure(obj: dict[str, Any], line: str | None) -> None:
    found = await lines(obj)
    if line is None:
        assert not [one for one in found if "gates" in one]
    else:
        assert line in found


@pytest.mark.parametrize("state", ["Suspended", "Succeeded", "Failed", "Pending"])
async def test_a_training_that_is_not_at_work_has_nothing_unsaved(state: str) -> None:
    obj = run("FineTuneRun", state=state, attempts=[{"state": state, "startedAt": "2026-11-01T00:00:00Z"}])
    assert not [one for one in await lines(obj) if "unsaved" in one]


async def test_a_scrape_is_what_the_library_would_write() -> None:
    hard = run("EvalRun", arms=[{"name": 'a "b" \\ \n c', "done": 3}], reason="X", startedAt="2026-11-01T00:00:00Z")
    registry = CollectorRegistry()

    class Theirs:
        def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily]:
            made = []
            for one in RUN_METRICS:
                family = (CounterMetricFamily if one.counter else GaugeMetricFamily)(
                    one.name, one.about, labels=["kind", "namespace", "name", *one.labels]
                )
                for further, value in one.read(hard["status"], hard):
                    family.add_metric([hard["kind"], "team", "tune", *further], value)
                made.append(family)
            return made

    registry.register(Theirs())  # type: ignore[arg-type]
    cache = Cache()
    cache.put(hard)
    ours = {one.name: one for one in text_string_to_metric_families(await RunSeries(cache.packed).text())}
    theirs = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert [ours[one.name] for one in theirs] == theirs
    assert ours["fabula_runs"].samples[0].labels == {"kind": "EvalRun", "namespace": "team", "state": "Pending"}


async def test_a_scrape_reads_a_run_again_only_when_something_is_new_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each scrape of 10,000 runs would hold up all else for seconds."""
    cache, read = Cache(), list[str]()
    inner = run_series._lines
    monkeypatch.setattr(run_series, "_lines", lambda one: (read.append(one.uid), inner(one))[1])  # type: ignore[func-returns-value]
    for kind in ("DatasetBuild", "EvalRun"):
        cache.put(run(kind, state="Running"))
    series = RunSeries(cache.packed)
    first = await series.text()
    assert await series.text() == first
    assert read == ["DatasetBuild", "EvalRun"]
    newer = run("EvalRun", state="Succeeded")
    newer["metadata"]["resourceVersion"] = "2"
    cache.put(newer)
    text = await series.text()
    assert read == ["DatasetBuild", "EvalRun", "EvalRun"]
    assert 'fabula_run_info{kind="EvalRun",namespace="team",name="tune",state="Succeeded",reason=""} 1.0' in text
    cache.drop(newer)
    assert 'kind="EvalRun"' not in await series.text()


def report(shard: int, stage: str = "extract", quota: float | None = None, **counts: float) -> Report:
    part = None if quota is None else QuotaPart(share=quota, fallback_share=quota)
    named = {f"calls/{name}": value for name, value in counts.items()}
    body = StageReport(stage=stage, shard=shard, counts=named, quota=part)
    return Report(body, NOW, 0, NOW)


async def test_calls_are_summed_over_the_shards_of_a_stage_and_end_with_the_run() -> None:
    told = (
        report(0, quota=0.25, throttled=3, seconds=10.5),
        report(1, quota=0.5, seconds=2, paid=4),
        report(0, "illustrate", throttled=1),
        report(0, "ingest"),
    )
    found = [one for one in await lines(run("DatasetBuild"), reports=told) if "provider" in one]
    assert sorted(found) == [
        'fabula_provider_quota_share{kind="DatasetBuild",RUN,stage="extract"} 0.75',
        'fabula_provider_throttles_total{kind="DatasetBuild",RUN,stage="extract"} 3.0',
        'fabula_provider_throttles_total{kind="DatasetBuild",RUN,stage="illustrate"} 1.0',
        'fabula_provider_wait_seconds_total{kind="DatasetBuild",RUN,stage="extract"} 12.5',
        'fabula_provider_wait_seconds_total{kind="DatasetBuild",RUN,stage="illustrate"} 0.0',
    ]
    assert not [one for one in await lines(run("DatasetBuild")) if "provider" in one]


def test_the_age_of_the_queue_is_that_of_who_has_waited_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    queue: WorkQueue[str] = WorkQueue(lambda key: key[0])
    assert queue.oldest_seconds() == 0
    queue.add("a1", Urgency.RESYNCED)
    now = 103.0
    queue.add("b1")
    queue.add("a1", Urgency.RESYNCED)
    assert queue.oldest_seconds() == 3
    now = 110.0
    queue.add("a1")
    assert queue.oldest_seconds() == 7


def test_names_and_help_keep_to_prometheus_conventions() -> None:
    for one in (*RUN_METRICS, *CALL_METRICS):
        assert one.name.startswith("fabula_")
        assert not one.name.endswith("_total"), "the client adds it"
        assert one.about.endswith(".")
        assert not set(one.labels) & {"kind", "namespace", "name"}


async def test_there_is_no_end_of_a_certificate_that_is_not_there() -> None:
    metrics = Metrics(WorkQueue(str), RunSeries(Cache().packed))
    assert "fabula_certificate_expiry_timestamp_seconds" not in (await metrics.text()).decode()
    metrics.serves(lambda: NOW)
    families = text_string_to_metric_families((await metrics.text()).decode())
    (expiry,) = (one for one in families if one.name == "fabula_certificate_expiry_timestamp_seconds")
    assert [sample.value for sample in expiry.samples] == [NOW.timestamp()]
