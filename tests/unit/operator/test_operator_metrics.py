"""What Prometheus is told: requests by their kind, and the figures of runs."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fabula_operator.handlers.run_metrics import RUN_METRICS, RunCollector
from fabula_operator.kube.resources import Request, request_of

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


def lines(*objects: dict[str, Any]) -> list[str]:
    registry = CollectorRegistry()
    registry.register(RunCollector(lambda: objects))
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
        (run("FineTuneRun", attempts=[{"number": 4}], earlierAttempts={"count": 3}),
         'fabula_training_attempts{kind="FineTuneRun",RUN} 4.0'),
        (run("FineTuneRun", checkpoint={"committedAt": "2026-11-01T00:00:00Z"}),
         'fabula_training_checkpoint_timestamp_seconds{kind="FineTuneRun",RUN} 1.7934912e+09'),
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


def test_names_and_help_keep_to_prometheus_conventions() -> None:
    for one in RUN_METRICS:
        assert one.name.startswith("fabula_")
        assert not one.name.endswith("_total"), "the client adds it"
        assert one.about.endswith(".")
        assert not set(one.labels) & {"kind", "namespace", "name"}
