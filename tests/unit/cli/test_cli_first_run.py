"""What is said of trials on a cluster: scripted answers of a training operator and of Kueue that nobody here has."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fabula_cli.first_run.manifests import LABEL, Trial, child, on_product, trials
from fabula_cli.first_run.outcome import Outcome, judge
from fabula_kube.errors import ApiError
from fabula_operator.render import WorkerSettings
from fabula_operator.render.worker_defaults import ModelCache, Placement, WorkerDefaults

HUB = "hub"
SETTINGS = WorkerSettings(
    "s3://stories/fabula", "https://status", image_cpu="cpu:1", image_gpu="gpu:1",
    defaults=WorkerDefaults(
        secret_name=HUB, service_account_name="worker", model_cache=ModelCache(claim="models"),
        gpu=Placement(node_selector={"pool": "gpu"}),
    ),
)  # fmt: skip
CPU = Trial("cpu", "pod", "Job")
TRAINER = Trial("trainer", "training operator", "PyTorchJob")
HELD = replace(TRAINER, suspended=True)
QUEUED = Trial("queue-0", "Kueue, team", "Job", queue="team")
REPORT = json.dumps({"findings": [{"about": "store", "state": "OK", "said": "written"}]})
RANKS = [{"name": name} for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")]


def made(*ends: str, **spec: Any) -> dict[str, Any]:
    """A child as the API server has it."""
    conditions = [{"type": one, "status": "True"} for one in ends]
    return {"metadata": {"uid": "u"}, "spec": spec, "status": {"conditions": conditions}}


def pod(**changed: Any) -> dict[str, Any]:
    """A pod that has ended well with a report."""
    labels = {"training.kubeflow.org/replica-type": "master"}
    owner = {"kind": "PyTorchJob", "uid": "u", "controller": True}
    terminated = {"exitCode": 0, "message": REPORT}
    return {
        "metadata": {"labels": labels, "ownerReferences": [owner]},
        "spec": {"containers": [{"env": RANKS}]},
        "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": terminated}}]},
        **changed,
    }


def waiting(**status: Any) -> dict[str, Any]:
    """A pod that has not begun."""
    return pod(status={"phase": "Pending", **status})


def workload(admitted: bool = True, **labels: str) -> dict[str, Any]:
    words = "couldn't assign flavors to pod set main: insufficient quota for cpu"
    condition = {"type": "QuotaReserved", "status": str(admitted), "message": words}
    return {"metadata": {"labels": labels}, "status": {"conditions": [condition]}}


OWN = {"kueue.x-k8s.io/job-uid": "u"}
MORE = {"containers": [{"env": RANKS}], "initContainers": [{"name": "init"}]}
FULL = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}
PULLING = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "cpu:1"}}}]}
BROKEN = {"containerStatuses": [{"state": {"terminated": {"exitCode": 127, "message": ""}}}]}


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        (Outcome(CPU, child=made("Complete"), pods=[pod()]), "OK", "written"),
        (Outcome(CPU, refused=ApiError(403, "Forbidden", "exceeded quota")), "MISSING", "exceeded quota"),
        (Outcome(TRAINER, refused=ApiError(400, "BadRequest", "unknown field x")), "DIFFERS", "unknown field x"),
        (Outcome(CPU, child=made(), seconds=60), "MISSING", "no pod came within 60 s"),
        (Outcome(CPU, child=made(), pods=[waiting(**FULL)]), "MISSING", "Unschedulable: 0/3 nodes"),
        (Outcome(CPU, child=made(), pods=[waiting(**PULLING)]), "MISSING", "ImagePullBackOff: cpu:1"),
        (Outcome(CPU, child=made("Failed"), pods=[waiting(**BROKEN)]), "MISSING", "exit code 127: see its log"),
        (Outcome(CPU, child=made("Complete"), pods=[waiting()]), "MISSING", "left no report"),
        (Outcome(TRAINER, child=made("Succeeded"), pods=[pod()]), "OK", "one pod with rank and address"),
        (Outcome(TRAINER, child=made("Succeeded"), pods=[pod(), pod()]), "DIFFERS", "2 pods where one"),
        (
            Outcome(TRAINER, child=made("Succeeded"), pods=[pod(metadata={"labels": {}})]), "DIFFERS",
            "no label training.kubeflow.org/replica-type",
        ),
        (
            Outcome(TRAINER, child=made("Succeeded"), pods=[pod(spec=MORE)]),
            "DIFFERS", "adds the init container init",
        ),
        (
            Outcome(TRAINER, child=made("Succeeded"), pods=[pod(spec={"containers": [{"env": RANKS[:2]}]})]), "DIFFERS",
            "not given WORLD_SIZE, RANK",
        ),
        (Outcome(TRAINER, child=made(), pods=[waiting(**PULLING)]), "MISSING", "ImagePullBackOff"),
        (Outcome(HELD, child=made(), seconds=10), "OK", "had no pod for 10 s"),
        (Outcome(HELD, child=made(), pods=[pod()]), "DIFFERS", "a suspended PyTorchJob got pods"),
        (Outcome(QUEUED, child=made(suspend=True), seconds=9), "MISSING", "no Workload for a Job within 9 s"),
        (
            Outcome(QUEUED, child=made(suspend=True), workloads=[workload(False, **OWN)]),
            "MISSING", "insufficient quota for cpu",
        ),
        (
            Outcome(QUEUED, child=made(suspend=True), workloads=[workload()]), "DIFFERS",
            "no label kueue.x-k8s.io/job-uid",
        ),
        (
            Outcome(QUEUED, child=made("Complete", suspend=False), pods=[pod()], workloads=[workload(**OWN)]),
            "OK", "was admitted, started and ended",
        ),
    ],
)  # fmt: skip
def test_a_trial_says_what_differs_and_what_to_do(outcome: Outcome, state: str, words: str) -> None:
    (line,) = judge(outcome)
    assert (line.state, words in line.said) == (state, True), line


def test_what_can_be_tried_follows_from_what_is_there() -> None:
    assert [one.name for one in trials([], False, [], 1, [])] == ["cpu"]
    all_ = trials(["NVIDIA-H200", "NVIDIA-H200", None], True, ["a", "b"], 8, ["--bedrock-model=m"])
    assert [one.name for one in all_] == ["cpu", "gpu-0", "gpu-1", "trainer", "held", "queue-0", "queue-1"]
    assert all_[0].arguments == ("--bedrock-model=m",)


def test_a_trials_pod_is_the_installations_own() -> None:
    gpu = trials(["NVIDIA-H200"], False, [], 2, [])[1]
    found = child(gpu, "team", on_product(SETTINGS, "NVIDIA-H200"), "abc")
    pod_spec = found["spec"]["template"]["spec"]
    (container,) = pod_spec["containers"]
    assert pod_spec["nodeSelector"] == {"pool": "gpu", "nvidia.com/gpu.product": "NVIDIA-H200"}
    assert (pod_spec["serviceAccountName"], container["image"]) == ("worker", "gpu:1")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container["envFrom"] == [{"secretRef": {"name": HUB}}]
    assert {one["name"] for one in pod_spec["volumes"]} == {"fabula", "scratch", "shm", "models"}
    assert container["command"] == [
        "fabula-probe", "--root=s3://stories/fabula", "--folder=team", "--gpus=2", "--product=NVIDIA-H200",
    ]  # fmt: skip
    # The operator does not take it for a child of a run.
    labels = found["metadata"]["labels"] | found["spec"]["template"]["metadata"]["labels"]
    assert labels[LABEL] == "gpu-0"
    assert not [name for name in labels if name.startswith("fabula.dev/run")]
    assert "ownerReferences" not in found["metadata"]


def test_queued_and_held_children_begin_suspended() -> None:
    assert child(QUEUED, "team", SETTINGS, "a")["spec"]["suspend"] is True
    assert child(QUEUED, "team", SETTINGS, "a")["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert child(HELD, "team", SETTINGS, "a")["spec"]["runPolicy"]["suspend"] is True
    assert child(TRAINER, "team", SETTINGS, "a")["spec"]["runPolicy"]["suspend"] is False
