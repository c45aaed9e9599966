"""Runs as a cluster holds them, for tests of what a command tells of them."""

from typing import Any

from tests.support.in_blocks import in_blocks

from fabula_operator.plan.seen.observed import Run

TIME = "2026-01-31T12:00:00Z"
SPECS: dict[str, dict[str, Any]] = {
    "DatasetBuild": {"source": {"uri": "books"}},
    "FineTuneRun": {"dataset": {"ref": "books"}, "model": {"uri": "models/small"}},
    "EvalRun": {
        "samples": {"uri": "vist", "format": "vist"},
        "arms": [
            {"name": "base", "model": {"uri": "models/small"}},
            {"name": "tuned", "model": {"uri": "models/small"}, "adapter": {"ref": "tale"}},
        ],
    },
}


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": TIME}


def manifest(kind: str, name: str, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """The object, as it is applied, with its status."""
    made: dict[str, Any] = {"apiVersion": "fabula.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
    made["spec"] = in_blocks(kind, {**SPECS[kind], **spec})
    return made if status is None else {**made, "status": status}


def told(kind: str, name: str, status: dict[str, Any] | None = None, *, generation: int = 1, **spec: Any) -> Run:
    """The run, as a command reads it."""
    obj = manifest(kind, name, status, **spec)
    obj["metadata"] |= {"namespace": "default", "uid": f"{kind}-{name}", "generation": generation}
    return Run.from_object(obj)


WAITS = {
    "state": "Pending", "reason": "WaitingForDataset", "observedGeneration": 1,
    "progress": {"percent": 0, "summary": "WaitingForDataset"},
    "conditions": [
        condition("Running", "False", "WaitingForDataset", "DatasetBuild books is Running (extract 4/12)"),
        condition("Stalled", "False", "Progressing"),
    ],
}  # fmt: skip
WORKS = {
    "state": "Running", "observedGeneration": 1,
    "progress": {"percent": 40, "summary": "extract 4/12", "eta": "2m10s"},
    "stages": [
        {"name": "ingest", "state": "Succeeded", "done": 10, "total": 10, "reused": True},
        {"name": "extract", "state": "Running", "done": 4, "total": 12, "failed": 1, "eta": "2m10s"},
    ],
    "conditions": [condition("Running", "True", "AtWork", "stage extract")],
    "costUsd": 1.5, "calls": {"paid": 40}, "tokens": {"input": 1000, "output": 200},
    "bills": [{"stage": "extract", "costUsd": 1.5, "lostUsd": 0.25}],
}  # fmt: skip
FAILED = {
    "state": "Failed", "reason": "OutOfMemory", "observedGeneration": 1, "finishedAt": TIME,
    "failure": {"reason": "OutOfMemory", "message": "rank 1 ran out of memory", "rank": 1, "logTail": ["last words"]},
    "conditions": [condition("Failed", "True", "OutOfMemory", "rank 1 ran out of memory")],
    "gpuHours": {"used": 3.0, "wasted": 1.0}, "costUsd": 6,
}  # fmt: skip
SUCCEEDED = {
    "state": "Succeeded", "observedGeneration": 1, "finishedAt": TIME, "progress": {"percent": 100, "summary": "done"},
    "conditions": [condition("Succeeded", "True", "Succeeded", "done")],
}  # fmt: skip
