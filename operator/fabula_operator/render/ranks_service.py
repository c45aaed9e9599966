"""How the pods of a group on an Indexed Job find each other: a headless Service, and torchrun's variables.

With a PyTorchJob the training operator does both.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fabula_operator.render.launch import Launch
from fabula_operator.render.literal import variable
from fabula_operator.render.metadata import labels, owner
from fabula_operator.render.names import RUN_UID, STAGE, shortened

PORT = 29500
INDEX_FIELD = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def service_name(launch: Launch) -> str:
    """One Service for all attempts of a run: they are never alive at once."""
    mark = hashlib.sha256(launch.run.uid.encode()).hexdigest()[:8]
    return f"ranks-{shortened(launch.run.name.replace('.', '-'), 48)}-{mark}"


def ranks_service(launch: Launch) -> dict[str, Any]:
    """The headless Service that gives each pod a name; owned by the run."""
    chosen = labels(launch)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(launch),
            "namespace": launch.run.namespace,
            "labels": {key: value for key, value in chosen.items() if key.startswith("app.") or key == RUN_UID},
            "ownerReferences": [owner(launch)],
        },
        "spec": {
            "clusterIP": "None",
            # Ranks look for the first one before any pod is ready.
            "publishNotReadyAddresses": True,
            "selector": {RUN_UID: launch.run.uid, STAGE: launch.stage},
            "ports": [{"name": "torchrun", "port": PORT, "protocol": "TCP", "targetPort": PORT}],
        },
    }


def rendezvous(launch: Launch) -> list[dict[str, Any]]:
    """What torchrun reads: the first pod's name, and each pod's own place."""
    assert launch.topology is not None, "only the pods of a group look for each other"
    address = f"{launch.child}-0.{service_name(launch)}"
    per_node = launch.topology.gpus_per_node
    fixed = {
        "MASTER_ADDR": address,
        "MASTER_PORT": str(PORT),
        "PET_NNODES": str(launch.shards),
        "PET_NPROC_PER_NODE": str(per_node),
        "PET_MASTER_ADDR": address,
        "PET_MASTER_PORT": str(PORT),
    }
    # JOB_COMPLETION_INDEX comes after our variables, so that it cannot be referred to.
    rank = {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": INDEX_FIELD}}}
    return [*(variable(key, value) for key, value in fixed.items()), rank]
