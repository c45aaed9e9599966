"""What controllers need to know about a pod, read from its status. Pure."""

from datetime import UTC, datetime

from fabula_local import timestamps
from fabula_local.kinds import Obj

from .conditions import is_true

EPOCH = datetime.fromtimestamp(0, UTC)


def phase(pod: Obj) -> str:
    """status.phase; Pending where none is set yet."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def deleting(pod: Obj) -> bool:
    """Whether the pod's deletion was asked for."""
    return "deletionTimestamp" in pod["metadata"]


def finished(pod: Obj) -> bool:
    """Whether the pod's processes have ended for good."""
    return phase(pod) in ("Succeeded", "Failed")


def ready(pod: Obj) -> bool:
    """Whether the pod has condition Ready."""
    return is_true(pod, "Ready")


def ready_since(pod: Obj) -> datetime | None:
    """Since when the pod has condition Ready; None if it has not."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            return timestamps.parse(condition["lastTransitionTime"])
    return None


def terminated(pod: Obj) -> list[tuple[str, int]]:
    """(container, exit code) of every ended container, init containers last."""
    status = pod.get("status") or {}
    statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    ended = []
    for entry in statuses:
        end = (entry.get("state") or {}).get("terminated")
        if end:
            ended.append((str(entry["name"]), int(end.get("exitCode", 0))))
    return ended


def finish_time(pod: Obj) -> datetime:
    """When the last container ended; else when the pod's readiness last changed or its deletion was asked for."""
    status = pod.get("status") or {}
    times = [
        timestamps.parse(end["finishedAt"])
        for entry in status.get("containerStatuses") or ()
        if (end := (entry.get("state") or {}).get("terminated")) and end.get("finishedAt")
    ]
    if times:
        return max(times)
    for condition in status.get("conditions") or ():
        if condition["type"] == "Ready" and condition.get("lastTransitionTime"):
            return timestamps.parse(condition["lastTransitionTime"])
    moment = pod["metadata"].get("deletionTimestamp") or pod["metadata"].get("creationTimestamp")
    return timestamps.parse(moment) if moment else EPOCH


def restarts(pod: Obj) -> int:
    """Restarts of all its containers together."""
    status = pod.get("status") or {}
    statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return sum(int(entry.get("restartCount", 0)) for entry in statuses)
