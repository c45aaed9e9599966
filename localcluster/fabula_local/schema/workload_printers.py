"""Cells of jobs and of the kinds that keep pods running, as a real API server gives them."""

from datetime import datetime
from typing import Any

from .age import human_duration, parse_time
from .printing import Object, containers, has_condition, object_age, parts, selector_text


def job_cells(obj: Object, now: datetime) -> list[Any]:
    """State, completions and duration of a Job."""
    name, spec, status = parts(obj)
    succeeded = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        parallelism = spec.get("parallelism", 0)
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    lasted = ""
    if start := status.get("startTime"):
        end = status.get("completionTime")
        lasted = human_duration((parse_time(end) if end else now) - parse_time(start))
    state = "Running"
    for word in ("Complete", "Failed", "Terminating", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if "deletionTimestamp" in obj["metadata"] if word == "Terminating" else has_condition(status, word):
            state = word
            break
    template = spec.get("template", {})
    return [
        name,
        state,
        completions,
        lasted,
        object_age(obj, now),
        *containers(template),
        selector_text(spec.get("selector")),
    ]


def deployment_cells(obj: Object, now: datetime) -> list[Any]:
    """Readiness of a Deployment."""
    name, spec, status = parts(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    wide = [*containers(spec.get("template", {})), selector_text(spec.get("selector"))]
    return [name, ready, updated, available, object_age(obj, now), *wide]


def replicas_cells(obj: Object, now: datetime) -> list[Any]:
    """Counts of a ReplicaSet."""
    name, spec, status = parts(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [
        name,
        *counts,
        object_age(obj, now),
        *containers(spec.get("template", {})),
        selector_text(spec.get("selector")),
    ]
