"""The PyTorchJob planner and its pods."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fabula_local.controllers.pytorchjob_plan import PyTorchJobPlan, plan_pytorchjob
from fabula_local.controllers.pytorchjob_pods import labels, render_pod, render_service, replica_env

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def job(status: dict[str, Any] | None = None, policy: str = "Never", **run: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "pytorch", "env": [{"name": "RANK", "value": "own"}]}]}}
    replica = {"restartPolicy": policy, "template": template}
    return {
        "metadata": {"name": "t", "namespace": "n", "uid": "u"},
        "spec": {
            "nprocPerNode": "2",
            "runPolicy": run,
            "pytorchReplicaSpecs": {"Master": {"replicas": 1, **replica}, "Worker": {"replicas": 2, **replica}},
        },
        "status": status or {},
    }


def pod(kind: str, index: int, phase: str, code: int = 0) -> dict[str, Any]:
    end = {"state": {"terminated": {"exitCode": code}}} if phase in ("Succeeded", "Failed") else {}
    return {
        "metadata": {"name": f"t-{kind.lower()}-{index}", "namespace": "n", "labels": labels(job(), kind, index)},
        "status": {"phase": phase, "containerStatuses": [{"name": "pytorch", **end}]},
    }


def group(master: str, *workers: str, code: int = 0) -> list[dict[str, Any]]:
    return [pod("Master", 0, master, code), *(pod("Worker", i, phase, code) for i, phase in enumerate(workers))]


def true(plan: PyTorchJobPlan) -> dict[str, str]:
    return {entry["type"]: entry["reason"] for entry in plan.status["conditions"] if entry["status"] == "True"}


def test_a_new_job_gets_all_its_replicas() -> None:
    plan = plan_pytorchjob(job(), [], NOW)
    assert plan.create == [("Master", 0), ("Worker", 0), ("Worker", 1)]
    assert true(plan) == {"Created": "PyTorchJobCreated"}


@pytest.mark.parametrize(
    ("situation", "pods", "expected"),
    [
        ("all run", group("Running", "Running", "Running"), {"Running": "PyTorchJobRunning"}),
        ("the master waits", group("Pending", "Running", "Running"), {}),
        ("the master is done", group("Succeeded", "Running", "Succeeded"), {"Succeeded": "PyTorchJobSucceeded"}),
        ("a worker failed", group("Running", "Failed", "Running", code=1), {"Failed": "PyTorchJobFailed"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_conditions(situation: str, pods: list[Any], expected: dict[str, str]) -> None:
    plan = plan_pytorchjob(job(), pods, NOW)
    assert true(plan) == {"Created": "PyTorchJobCreated", **expected}
    assert plan.create == []


def test_the_end_takes_back_that_it_runs() -> None:
    running = plan_pytorchjob(job(), group("Running", "Running", "Running"), NOW)
    ended = plan_pytorchjob(job(running.status), group("Succeeded", "Running", "Running"), NOW)
    assert true(ended) == {"Created": "PyTorchJobCreated", "Succeeded": "PyTorchJobSucceeded"}
    assert ended.status["completionTime"] == "2026-01-01T12:00:00Z"
    assert ended.status["replicaStatuses"]["Master"]["succeeded"] == 1


@pytest.mark.parametrize(("policy", "deleted"), [("None", 0), ("Running", 2), ("All", 3)])
def test_clean_pod_policy(policy: str, deleted: int) -> None:
    plan = plan_pytorchjob(job(cleanPodPolicy=policy), group("Succeeded", "Running", "Running"), NOW)
    assert len(plan.delete) == deleted
    assert plan.delete_services == (policy != "None")


@pytest.mark.parametrize(("code", "restarted"), [(137, True), (1, False)])
def test_exit_code_policy_restarts_after_signals_only(code: int, restarted: bool) -> None:
    plan = plan_pytorchjob(job(policy="ExitCode"), group("Running", "Failed", "Running", code=code), NOW)
    assert ("Restarting" in true(plan)) == restarted
    assert ("Failed" in true(plan)) == (not restarted)
    assert [entry["metadata"]["name"] for entry in plan.delete] == (["t-worker-0"] if restarted else [])


def test_restarts_have_a_limit() -> None:
    status = plan_pytorchjob(
        job(policy="ExitCode", backoffLimit=1), group("Running", "Failed", "Running", code=137), NOW
    ).status
    again = job(status, policy="ExitCode", backoffLimit=1)
    plan = plan_pytorchjob(again, group("Running", "Failed", "Running", code=137), NOW)
    assert "Failed" in true(plan)


@pytest.mark.parametrize(("policy", "gone"), [({"backoffLimit": 0}, 3), ({}, 0)])
def test_a_first_failure_over_the_limit_takes_all_pods_along(policy: dict[str, Any], gone: int) -> None:
    """As training operator 1.8 and 1.9 do (kubeflow/trainer 3419), whatever cleanPodPolicy says."""
    pods = group("Running", "Failed", "Running", code=1)
    plan = plan_pytorchjob(job(cleanPodPolicy="None", **policy), pods, NOW)
    assert "Failed" in true(plan)
    assert len(plan.delete) == gone


def test_suspending_and_resuming() -> None:
    suspended = plan_pytorchjob(job(suspend=True), group("Running", "Running", "Running"), NOW)
    assert len(suspended.delete) == 3
    assert true(suspended) == {"Created": "PyTorchJobCreated", "Suspended": "PyTorchJobSuspended"}
    resumed = plan_pytorchjob(job(suspended.status), [], NOW)
    assert "Suspended" not in true(resumed)
    assert len(resumed.create) == 3


def test_a_deadline_ends_the_job() -> None:
    status = {"startTime": "2026-01-01T11:00:00Z"}
    plan = plan_pytorchjob(job(status, activeDeadlineSeconds=60), group("Running", "Running", "Running"), NOW)
    assert true(plan)["Failed"] == "PyTorchJobFailed"


def test_a_settled_job_has_nothing_to_write() -> None:
    pods = group("Running", "Running", "Running")
    first = plan_pytorchjob(job(), pods, NOW)
    assert plan_pytorchjob(job(first.status), pods, NOW).status == first.status


def test_environment_of_a_worker() -> None:
    env = replica_env(job(), "Worker", 1)
    assert env == {
        "PYTHONUNBUFFERED": "1",
        "MASTER_ADDR": "t-master-0",
        "MASTER_PORT": "23456",
        "WORLD_SIZE": "6",
        "RANK": "2",
        "PET_NNODES": "3",
        "PET_NPROC_PER_NODE": "2",
        "PET_NODE_RANK": "2",
        "PET_MASTER_ADDR": "t-master-0",
        "PET_MASTER_PORT": "23456",
    }


def test_pods_and_services_of_a_replica() -> None:
    made = render_pod(job(policy="ExitCode"), "Master", 0)
    assert made["metadata"]["name"] == "t-master-0"
    assert made["metadata"]["labels"]["training.kubeflow.org/job-role"] == "master"
    assert made["spec"]["restartPolicy"] == "Never"
    ranks = [entry["value"] for entry in made["spec"]["containers"][0]["env"] if entry["name"] == "RANK"]
    assert ranks == ["own"], "what the author sets is not overridden"
    service = render_service(job(), "Master", 0)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= made["metadata"]["labels"].items()
