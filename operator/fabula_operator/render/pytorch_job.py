"""A group as a PyTorchJob: the training operator gives each node its rank and the master's address."""

from __future__ import annotations

from typing import Any

from fabula_operator.render.launch import Launch, WorkerSettings
from fabula_operator.render.metadata import metadata
from fabula_operator.render.names import PYTORCH_CONTAINER
from fabula_operator.render.pod import pod_template


def pytorch_job(launch: Launch, settings: WorkerSettings) -> dict[str, Any]:
    """The PyTorchJob of one attempt: a master and `nodes - 1` workers that are never restarted on their own."""
    assert launch.topology is not None, "only a group is a PyTorchJob"
    template = pod_template(launch, settings, container=PYTORCH_CONTAINER)
    replicas: dict[str, Any] = {"Master": {"replicas": 1, "restartPolicy": "Never", "template": template}}
    if launch.shards > 1:
        replicas["Worker"] = {"replicas": launch.shards - 1, "restartPolicy": "Never", "template": template}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": metadata(launch),
        "spec": {
            "nprocPerNode": str(launch.topology.gpus_per_node),
            # No backoffLimit: the training operator deletes all pods once one is exceeded, cleanPodPolicy or not, and
            # with them what they say of their end. With restartPolicy Never the first failure fails the job anyway.
            "runPolicy": {"cleanPodPolicy": "None", "suspend": launch.queue is not None},
            "pytorchReplicaSpecs": replicas,
        },
    }
