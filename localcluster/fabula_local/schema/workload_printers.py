"""Cells of jobs and of the kinds that keep pods running, as a real API server gives them."""

from datetime import datetime
from typing import Any

from .age import age, human_duration, parse_time
from .printing import NONE, Object, containers, has_condition, object_age, parts, selector_text


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


def cron_job_cells(obj: Object, now: datetime) -> list[Any]:
    """Schedule and last run of a CronJob."""
    name, spec, status = parts(obj)
    last = age(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE
    template = spec.get("jobTemplate", {}).get("spec", {})
    suspend = "True" if spec.get("suspend") else "False"
    zone = spec.get("timeZone", NONE)
    head = [name, spec.get("schedule", ""), zone, suspend, len(status.get("active") or []), last, object_age(obj, now)]
    return [*head, *containers(template.get("template", {})), selector_text(template.get("selector"))]


def deployment_cells(obj: Object, now: datetime) -> list[Any]:
    """Readiness of a Deployment."""
    name, spec, status = parts(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    wide = [*containers(spec.get("template", {})), selector_text(spec.get("selector"))]
    return [name, ready, updated, available, object_age(obj, now), *wide]


def replicas_cells(obj: Object, now: datetime) -> list[Any]:
    """Counts of a ReplicaSet or ReplicationController."""
    name, spec, status = parts(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [
        name,
        *counts,
        object_age(obj, now),
        *containers(spec.get("template", {})),
        selector_text(spec.get("selector")),
    ]


def stateful_set_cells(obj: Object, now: datetime) -> list[Any]:
    """Readiness of a StatefulSet."""
    name, spec, status = parts(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name, ready, object_age(obj, now), *containers(spec.get("template", {}))]


def daemon_set_cells(obj: Object, now: datetime) -> list[Any]:
    """Counts of a DaemonSet."""
    name, spec, status = parts(obj)
    fields = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    template = spec.get("template", {})
    nodes = selector_text(template.get("spec", {}).get("nodeSelector"))
    wide = [*containers(template), selector_text(spec.get("selector"))]
    return [name, *(status.get(field, 0) for field in fields), nodes, object_age(obj, now), *wide]
