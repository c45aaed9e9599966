"""The status of a pod, from what the node knows of its containers. Pure; shape and reasons are the kubelet's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fabula_local import timestamps
from fabula_local.controllers.conditions import with_condition
from fabula_local.kinds import Obj
from fabula_local.node.lifecycle import Attempts, Step, is_sidecar
from fabula_local.node.records import Attempt

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ended:
    """Why the node ended a pod before its time."""

    reason: str
    message: str
    disruption: str = ""
    """Reason of condition DisruptionTarget, where the pod's author is not to blame."""


SHUTDOWN = Ended(
    "Terminated", "Pod was terminated in response to imminent node shutdown.", disruption="TerminationByKubelet"
)
DEADLINE = Ended("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


def build_status(
    pod: Obj,
    attempts: Attempts,
    step: Step,
    now: datetime,
    *,
    problem: tuple[str, str] | None = None,
    ended: Ended | None = None,
) -> Obj:
    """The new status. `problem` is the reason and message for which containers that never started are waiting."""
    old = pod.get("status") or {}
    spec = pod["spec"]
    status = {key: value for key, value in old.items() if key not in ("reason", "message")}
    status["phase"] = step.phase
    if ended is not None and step.phase in ("Failed", "Succeeded"):
        status["phase"] = "Failed"
        status["reason"], status["message"] = ended.reason, ended.message
    status["startTime"] = old.get("startTime") or timestamps.rfc3339(now)
    status["hostIP"] = status["podIP"] = ADDRESS
    status["hostIPs"] = status["podIPs"] = [{"ip": ADDRESS}]
    over = status["phase"] in ("Failed", "Succeeded")
    default = problem or (("PodInitializing", "") if spec.get("initContainers") else ("ContainerCreating", ""))
    if over:
        default = ("", "")
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [
            _container_status(pod, entry, attempts, step.waiting.get(entry["name"], problem or ("PodInitializing", "")))
            for entry in spec["initContainers"]
        ]
    status["containerStatuses"] = [
        _container_status(pod, entry, attempts, step.waiting.get(entry["name"], default))
        for entry in spec["containers"]
    ]
    status["conditions"] = _conditions(old.get("conditions") or [], status, step, now, ended)
    return status


def _container_status(pod: Obj, container: Obj, attempts: Attempts, waiting: tuple[str, str]) -> Obj:
    name = container["name"]
    tries = attempts.get(name) or ()
    latest = tries[-1] if tries else None
    main = container in pod["spec"]["containers"] or is_sidecar(container)
    running = latest is not None and latest.running
    entry: Obj = {
        "name": name,
        "image": container.get("image", ""),
        "imageID": "",
        "restartCount": latest.number if latest else 0,
        "started": running,
        "ready": running if main else latest is not None and latest.exit_code == 0,
        "state": {},
        "lastState": {},
    }
    if latest is not None:
        entry["containerID"] = _container_id(pod, name, latest)
    backing_off = latest is not None and not latest.running and waiting[0] == "CrashLoopBackOff"
    if latest is None or backing_off:
        state = {"reason": waiting[0], **({"message": waiting[1]} if waiting[1] else {})}
        entry["state"] = {"waiting": state if waiting[0] else {}}
        previous = latest
    else:
        entry["state"] = _state(pod, name, latest)
        previous = tries[-2] if len(tries) > 1 else None
    if previous is not None:
        entry["lastState"] = _state(pod, name, previous)
    return entry


def _container_id(pod: Obj, name: str, attempt: Attempt) -> str:
    return f"process://{pod['metadata']['uid']}/{name}/{attempt.number}"


def _state(pod: Obj, name: str, attempt: Attempt) -> Obj:
    started = timestamps.rfc3339(attempt.started_at) if attempt.started_at else None
    if attempt.running:
        return {"running": {"startedAt": started}}
    code = attempt.exit_code or 0
    end: Obj = {
        "exitCode": code,
        "reason": attempt.reason or ("Completed" if code == 0 else "Error"),
        "startedAt": started,
        "finishedAt": timestamps.rfc3339(attempt.finished_at) if attempt.finished_at else None,
        "containerID": _container_id(pod, name, attempt),
    }
    if attempt.message:
        end["message"] = attempt.message
    return {"terminated": end}


def _conditions(old: Sequence[Obj], status: Obj, step: Step, now: datetime, ended: Ended | None) -> list[Obj]:
    over = status["phase"] in ("Failed", "Succeeded")
    unready = [entry["name"] for entry in status["containerStatuses"] if not entry["ready"]]
    initialized = step.initialized or status["phase"] == "Succeeded"
    wanted: Mapping[str, tuple[bool, str, str]] = {
        "PodReadyToStartContainers": (not over, "", ""),
        "Initialized": (initialized, "" if initialized else "ContainersNotInitialized", ""),
        "Ready": (False, "PodCompleted" if status["phase"] == "Succeeded" else "PodFailed", "")
        if over
        else _readiness(unready),
        "ContainersReady": (False, "PodCompleted" if status["phase"] == "Succeeded" else "PodFailed", "")
        if over
        else _readiness(unready),
        "PodScheduled": (True, "", ""),
    }
    conditions = list(old)
    for name, (true, reason, message) in wanted.items():
        conditions = with_condition(conditions, name, "True" if true else "False", reason, message, now)
    if ended is not None and ended.disruption:
        conditions = with_condition(conditions, "DisruptionTarget", "True", ended.disruption, ended.message, now)
    return [{key: value for key, value in entry.items() if value != ""} for entry in conditions]


def _readiness(unready: list[str]) -> tuple[bool, str, str]:
    if not unready:
        return True, "", ""
    return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
