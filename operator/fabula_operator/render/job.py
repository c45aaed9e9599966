"""Stages as Indexed Jobs: the Job controller restarts failed shards, and never two pods for one index at once."""

from __future__ import annotations

from typing import Any

from fabula_api.worker import FINAL_EXIT_CODES
from fabula_operator.render.launch import Launch, WorkerSettings
from fabula_operator.render.metadata import metadata
from fabula_operator.render.names import WORKER_CONTAINER
from fabula_operator.render.pod import pod_template


def job(launch: Launch, settings: WorkerSettings) -> dict[str, Any]:
    """The Job of a stage, or of one attempt of a group."""
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": launch.shards,
        "parallelism": launch.shards,
        "podReplacementPolicy": "Failed",
        "suspend": launch.queue is not None,
        "template": pod_template(launch, settings),
    }
    if launch.shape == "group":
        # One dead rank ends the attempt as a whole; the operator decides whether there is another and who pays for it.
        spec["backoffLimit"] = 0
    else:
        spec["backoffLimitPerIndex"] = launch.retries.failure
        spec["podFailurePolicy"] = {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    # Bad configuration, bad input and refused credentials strike every shard alike.
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": WORKER_CONTAINER,
                        "operator": "In",
                        "values": [int(code) for code in FINAL_EXIT_CODES],
                    },
                },
            ]
        }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(launch), "spec": spec}
