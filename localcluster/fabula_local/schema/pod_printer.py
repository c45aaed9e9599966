"""The one row that people read most: a pod's readiness, state and restarts, by the rules of the real printer."""

from datetime import datetime
from typing import Any

from .age import age
from .printing import NONE, Object, has_condition


def pod_cells(pod: Object, now: datetime) -> list[Any]:
    """Name, ready, status, restarts, age, and the wide columns IP, node, nominated node, readiness gates."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    reason, ready, restarts, last = _state(meta, spec, status)
    shown = f"{restarts} ({age(last, now)} ago)" if restarts and last else str(restarts)
    addresses = status.get("podIPs") or []
    address = addresses[0].get("ip") if addresses else status.get("podIP")
    gates = spec.get("readinessGates") or []
    met = sum(has_condition(status, gate.get("conditionType", "")) for gate in gates)
    passed = f"{met}/{len(gates)}" if gates else NONE
    total = len(spec.get("containers") or []) + len(_sidecars(spec))
    wide = [address or NONE, spec.get("nodeName") or NONE, status.get("nominatedNodeName") or NONE, passed]
    return [meta["name"], f"{ready}/{total}", reason, shown, age(meta.get("creationTimestamp"), now), *wide]


def _sidecars(spec: Object) -> set[str]:
    return {init["name"] for init in spec.get("initContainers") or [] if init.get("restartPolicy") == "Always"}


def _state(meta: Object, spec: Object, status: Object) -> tuple[str, int, int, str]:
    reason = status.get("reason") or status.get("phase") or "Unknown"
    gated = any(
        condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated"
        for condition in status.get("conditions") or []
    )
    if gated:
        reason = "SchedulingGated"
    ready = restarts = 0
    last = ""
    starting = False
    sidecars = _sidecars(spec)
    count = len(spec.get("initContainers") or [])
    for index, container in enumerate(status.get("initContainerStatuses") or []):
        restarts += container.get("restartCount", 0)
        last = max(last, _finished(container))
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if ended is not None:
            reason = "Init:" + _ended(ended)
        elif waiting and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            reason = "Init:" + waiting["reason"]
        else:
            reason = f"Init:{index}/{count}"
        starting = True
        break
    if not starting or has_condition(status, "Initialized"):
        restarts = restarts if sidecars else 0
        running = False
        for container in reversed(status.get("containerStatuses") or []):
            restarts += container.get("restartCount", 0)
            last = max(last, _finished(container))
            state = container.get("state") or {}
            waiting, ended = state.get("waiting"), state.get("terminated")
            if waiting and waiting.get("reason"):
                reason = waiting["reason"]
            elif ended is not None:
                reason = _ended(ended)
            elif container.get("ready") and "running" in state:
                running = True
                ready += 1
        if reason == "Completed" and running:
            reason = "Running" if has_condition(status, "Ready") else "NotReady"
    if "deletionTimestamp" in meta:
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return reason, ready, restarts, last


def _ended(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _finished(status: Object) -> str:
    return ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
