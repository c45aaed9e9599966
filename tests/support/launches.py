"""Launches of every shape that a plan asks for, and the installation that they are rendered for."""

from __future__ import annotations

from typing import Any

from tests.support.observations import complete, launches, observed, step

from fabula_api.recipes import Kind
from fabula_operator.plan.seen.observed import Environment
from fabula_operator.render import Launch, WorkerSettings

SETTINGS = WorkerSettings("s3://bucket/fabula", "https://fabula-operator.fabula:8443", "ghcr/cpu:1", "ghcr/gpu:1")
SCHEDULED = {
    "scheduling": {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "batch",
    },
    "serviceAccountName": "worker",
    "secretRef": {"name": "aws"},
}


def launch_of(kind: Kind, stage: str, spec: dict[str, Any] | None = None, *, crd: bool = True) -> Launch:
    """The launch of a stage, once the stages before it are over."""
    seen = observed(kind, spec, environment=Environment("s3://bucket/fabula", crd))
    for _ in range(6):
        seen, made = step(complete(seen))
        of_stage = [launch for launch in launches(made) if launch.stage == stage]
        if of_stage:
            return of_stage[-1]
    raise AssertionError(f"no launch of {stage}")


CASES = {
    "job-ingest": launch_of("DatasetBuild", "ingest"),
    "job-extract-sharded": launch_of("DatasetBuild", "extract", SCHEDULED),
    "job-illustrate-gpu": launch_of("DatasetBuild", "illustrate", {"images": {"provider": "diffusers"}}),
    "job-infer-arm": launch_of("EvalRun", "infer"),
    "job-train": launch_of("FineTuneRun", "train", crd=False),
    "job-train-two-nodes": launch_of("FineTuneRun", "train", {"topology": {"nodes": 2, "gpusPerNode": 8}}, crd=False),
    "pytorchjob-one-node": launch_of("FineTuneRun", "train"),
    "pytorchjob-queued": launch_of("FineTuneRun", "train", {"queue": "gpus"}),
    "pytorchjob-foreign": launch_of(
        "FineTuneRun",
        "train",
        {
            "backend": "PyTorchJob",
            "template": {
                "image": "example/trainer:7",
                "command": ["torchrun", "train.py"],
                "args": ["--epochs", "1"],
                "env": {"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "eth0"},
            },
            "topology": {
                "nodes": 2,
                "gpusPerNode": 8,
                "sharedMemory": "64Gi",
                "preferredDomain": "topology.kubernetes.io/rack",
            },
        },
    ),
    "pytorchjob-placed-by-kueue": launch_of(
        "FineTuneRun",
        "train",
        {
            **SCHEDULED,
            "queue": "gpus",
            "backend": "PyTorchJob",
            "deadline": "24h",
            "topology": {
                "nodes": 4,
                "gpusPerNode": 8,
                "product": "NVIDIA-H100-80GB-HBM3",
                "requiredDomain": "cloud.provider.com/topology-rack",
            },
        },
    ),
    "pytorchjob-two-nodes-a100": launch_of(
        "FineTuneRun",
        "train",
        {
            "backend": "PyTorchJob",
            "topology": {"nodes": 2, "gpusPerNode": 8, "product": "NVIDIA-A100-SXM4-80GB"},
            "resources": {"requests": {"cpu": "64", "memory": "512Gi"}},
        },
    ),
}


def templates(made: Any) -> list[dict[str, Any]]:
    spec = made["spec"]
    if "template" in spec:
        return [spec["template"]]
    return [replica["template"] for replica in spec["pytorchReplicaSpecs"].values()]
