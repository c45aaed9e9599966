"""The pods of a Job: their names, labels and template, and what their metadata tells. Pure."""

import copy
import random

from fabula_local.kinds import JOB, Obj, controller_of, controller_reference, uid_of

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names in Kubernetes: no vowels, nothing to misread."""
NAME_LIMIT = 63


def suffix(source: random.Random) -> str:
    """Five letters for a generated name."""
    return "".join(source.choice(SUFFIX_ALPHABET) for _ in range(5))


def selector(job: Obj) -> str:
    """Label selector of the pods of this very Job."""
    return f"{CONTROLLER_UID}={uid_of(job)}"


def owned(job: Obj, pods: list[Obj]) -> list[Obj]:
    """Those pods that this very Job controls."""
    return [pod for pod in pods if (controller_of(pod) or {}).get("uid") == uid_of(job)]


def indexed(job: Obj) -> bool:
    """Whether each completion has an index."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Obj) -> int:
    """The pod's completion index; -1 where it has none."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "-1")
    return int(text) if text.isdigit() else -1


def index_failures(pod: Obj) -> int:
    """Failures of the index that counted before this pod was made."""
    return int((pod["metadata"].get("annotations") or {}).get(FAILURES, "0"))


def ignored_failures(pod: Obj) -> int:
    """Failures of the index that were ignored before this pod was made."""
    return int((pod["metadata"].get("annotations") or {}).get(IGNORED_FAILURES, "0"))


def tracked(pod: Obj) -> bool:
    """Whether the pod still waits to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def render_pod(
    job: Obj, index: int | None, source: random.Random, *, failures: int | None = None, ignored: int = 0
) -> Obj:
    """The next pod of a Job, for one index if it is an Indexed one.

    `failures` and `ignored` are the index's history, kept on the pod where backoffLimitPerIndex is in force.
    """
    template = copy.deepcopy(job["spec"]["template"])
    name = job["metadata"]["name"]
    meta = template.setdefault("metadata", {})
    labels = {
        **(meta.get("labels") or {}),
        CONTROLLER_UID: uid_of(job),
        JOB_NAME: name,
        "controller-uid": uid_of(job),
        "job-name": name,
    }
    annotations = dict(meta.get("annotations") or {})
    spec = template["spec"]
    stem = name
    if index is not None:
        stem = f"{name}-{index}"
        labels[INDEX] = str(index)
        annotations[INDEX] = str(index)
        if failures is not None:
            annotations[FAILURES] = str(failures)
            if ignored:
                annotations[IGNORED_FAILURES] = str(ignored)
        spec.setdefault("hostname", stem)
        for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
            _inject_index(container)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{stem[: NAME_LIMIT - 6]}-{suffix(source)}",
            "generateName": f"{stem[: NAME_LIMIT - 6]}-",
            "namespace": job["metadata"]["namespace"],
            "labels": labels,
            "annotations": annotations,
            "finalizers": [*(meta.get("finalizers") or ()), FINALIZER],
            "ownerReferences": [controller_reference(job, JOB)],
        },
        "spec": spec,
    }


def _inject_index(container: Obj) -> None:
    env = container.setdefault("env", [])
    if any(entry["name"] == "JOB_COMPLETION_INDEX" for entry in env):
        return
    field = f"metadata.labels['{INDEX}']"
    env.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}})
