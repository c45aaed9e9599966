"""What Prometheus is told: requests by their kind, and the figures of runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.support.observations import NOW

from fabula_api.worker import QuotaPart, StageReport
from fabula_kube.work_queue import Urgency, WorkQueue
from fabula_operator.handlers.call_metrics import CALL_METRICS
from fabula_operator.handlers.run_metrics import RUN_METRICS, RunCollector
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


def lines(*objects: dict[str, Any], reports: tuple[Report, ...] = ()) -> list[str]:
    registry = CollectorRegistry()
    registry.register(RunCollector(lambda: objects, lambda uid: reports))
    text = generate_latest(registry).decode()
    return [line.replace('name="tune",namespace="team"', "RUN") for line in text.splitlines() if line[0] != "#"]


@pytest.mark.parametrize(
    ("obj", "line"),
    [
        (run("FineTuneRun", state="Pending", reason="QueueNotAdmitted"),
         'fabula_run_info{kind="FineTuneRun",RUN,reason="QueueNotAdmitted",state="Pending"} 1.0'),
        (run("DatasetBuild", {"budget": {"usd": 20}}, costUsd=18.5),
         'fabula_run_cost_usd{kind="DatasetBuild",RUN} 18.5'),
        (run("DatasetBuild", {"budget": {"usd": 20}}), 'fabula_run_budget_usd{kind="DatasetBuild",RUN} 20.0'),
        (run("DatasetBuild", bills=[{"stage": "extract", "paid": 7, "lost": 1, "input": 900}]),
         'fabula_provider_calls_total{kind="DatasetBuild",RUN,outcome="paid",stage="extract"} 7.0'),
        (run("DatasetBuild", bills=[{"stage": "extract", "paid": 7, "lost": 1, "input": 900}]),
         'fabula_provider_tokens_total{direction="input",kind="DatasetBuild",RUN,stage="extract"} 900.0'),
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
         'fabula_eval_answers{arm="base",kind="EvalRun",RUN,outcome="unparseable"} 8.0'),
        (run("EvalRun", conditions=[{"type": "GatesPassed", "status": "Unknown"}]), None),
    ],
)  # fmt: skip
def test_a_status_becomes_a_figure(obj: dict[str, Any], line: str | None) -> None:
    found = lines(obj)
    if line is None:
        assert not [one for one in found if "gates" in one]
    else:
        assert line in found


@pytest.mark.parametrize("state", ["Suspended", "Succeeded", "Failed", "Pending"])
def test_a_training_that_is_not_at_work_has_nothing_unsaved(state: str) -> None:
    obj = run("FineTuneRun", state=state, attempts=[{"state": state, "startedAt": "2026-11-01T00:00:00Z"}])
    assert not [one for one in lines(obj) if "unsaved" in one]


def report(shard: int, stage: str = "extract", quota: float | None = None, **counts: float) -> Report:
    part = None if quota is None else QuotaPart(share=quota, fallback_share=quota)
    named = {f"calls/{name}": value for name, value in counts.items()}
    body = StageReport(stage=stage, shard=shard, counts=named, quota=part)
    return Report(body, NOW, 0, NOW)


def test_calls_are_summed_over_the_shards_of_a_stage_and_end_with_the_run() -> None:
    told = (
        report(0, quota=0.25, throttled=3, seconds=10.5),
        report(1, quota=0.5, seconds=2, paid=4),
        report(0, "illustrate", throttled=1),
        report(0, "ingest"),
    )
    found = [one for one in lines(run("DatasetBuild"), reports=told) if "provider" in one]
    assert sorted(found) == [
        'fabula_provider_quota_share{kind="DatasetBuild",RUN,stage="extract"} 0.75',
        'fabula_provider_throttles_total{kind="DatasetBuild",RUN,stage="extract"} 3.0',
        'fabula_provider_throttles_total{kind="DatasetBuild",RUN,stage="illustrate"} 1.0',
        'fabula_provider_wait_seconds_total{kind="DatasetBuild",RUN,stage="extract"} 12.5',
        'fabula_provider_wait_seconds_total{kind="DatasetBuild",RUN,stage="illustrate"} 0.0',
    ]
    assert not [one for one in lines(run("DatasetBuild")) if "provider" in one]


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
