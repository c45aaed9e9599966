"""What every object made for a run carries: labels to find it by, the stage key, and the run as its owner."""

from __future__ import annotations

from fabula_operator.render.launch import Launch
from fabula_operator.render.names import (
    ARM,
    ATTEMPT,
    GENERATION,
    KEY,
    QUEUE,
    RUN_KIND,
    RUN_NAME,
    RUN_UID,
    STAGE,
    label_value,
)


def labels(launch: Launch) -> dict[str, str]:
    """Labels of a child and of its pods."""
    values = {
        "app.kubernetes.io/name": "fabula-worker",
        "app.kubernetes.io/component": launch.stage,
        "app.kubernetes.io/managed-by": "fabula-operator",
        "app.kubernetes.io/part-of": "fabula",
        RUN_UID: launch.run.uid,
        RUN_KIND: launch.run.kind,
        RUN_NAME: label_value(launch.run.name),
        STAGE: launch.stage,
        KEY: launch.key.removeprefix("sha256:")[:16],
        ATTEMPT: str(launch.attempt),
    }
    if launch.arm:
        values[ARM] = label_value(launch.arm)
    return values


def metadata(launch: Launch) -> dict[str, object]:
    """Metadata of a child: owned by its run, so that deleting the run deletes it."""
    return {
        "name": launch.child,
        "namespace": launch.run.namespace,
        "labels": labels(launch) | ({QUEUE: launch.queue} if launch.queue else {}),
        "annotations": {GENERATION: str(launch.generation), KEY: launch.key},
        "ownerReferences": [owner(launch)],
    }


def owner(launch: Launch) -> dict[str, object]:
    """The reference by which the run owns what is made for it."""
    return {
        "apiVersion": "fabula.dev/v1alpha1",
        "kind": launch.run.kind,
        "name": launch.run.name,
        "uid": launch.run.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
