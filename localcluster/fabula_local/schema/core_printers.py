"""Cells of nodes, services, events, storage and access rules, as a real API server gives them."""

from datetime import datetime
from typing import Any

from .age import UNKNOWN, age
from .printing import NONE, Object, object_age, parts, selector_text


def service_cells(obj: Object, now: datetime) -> list[Any]:
    """Type, addresses and ports of a Service."""
    name, spec, status = parts(obj)
    kind = spec.get("type", "ClusterIP")
    outside = list(spec.get("externalIPs") or [])
    if kind == "LoadBalancer":
        points = (status.get("loadBalancer") or {}).get("ingress") or []
        outside = [point.get("ip") or point.get("hostname", "") for point in points] + outside
        external = ",".join(outside) or "<pending>"
    else:
        external = spec.get("externalName", NONE) if kind == "ExternalName" else ",".join(outside) or NONE
    ports = []
    for port in spec.get("ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    address = spec.get("clusterIP") or NONE
    return [
        name,
        kind,
        address,
        external,
        ",".join(ports) or NONE,
        object_age(obj, now),
        selector_text(spec.get("selector")),
    ]


def node_cells(obj: Object, now: datetime) -> list[Any]:
    """Readiness, roles, version and machine of a Node."""
    name, spec, status = parts(obj)
    conditions = {condition.get("type"): condition.get("status") for condition in status.get("conditions") or []}
    state = "Unknown" if "Ready" not in conditions else "Ready" if conditions["Ready"] == "True" else "NotReady"
    if spec.get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    roles = ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or NONE
    addresses = {address.get("type"): address.get("address") for address in status.get("addresses") or []}
    info = status.get("nodeInfo") or {}
    wide = [addresses.get("InternalIP", NONE), addresses.get("ExternalIP", NONE)]
    wide += [info.get(key) or UNKNOWN for key in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [name, state, roles, object_age(obj, now), info.get("kubeletVersion", ""), *wide]


def event_cells(obj: Object, now: datetime) -> list[Any]:
    """When, what and about whom of an Event."""
    about = obj.get("involvedObject") or {}
    source = obj.get("source") or {}
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    component = source.get("component") or obj.get("reportingComponent") or ""
    origin = ", ".join(filter(None, (component, source.get("host") or obj.get("reportingInstance"))))
    count = series.get("count") or obj.get("count") or 1
    target = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    message = (obj.get("message") or "").strip()
    wide = [age(first, now), count, obj["metadata"]["name"]]
    head = [age(last, now), obj.get("type", ""), obj.get("reason", ""), target]
    return [*head, about.get("fieldPath", ""), origin, message, *wide]


def claim_cells(obj: Object, now: datetime) -> list[Any]:
    """State and size of a PersistentVolumeClaim."""
    name, spec, status = parts(obj)
    phase = "Terminating" if "deletionTimestamp" in obj["metadata"] else status.get("phase", "Pending")
    bound = spec.get("volumeName", "")
    capacity = (status.get("capacity") or {}).get("storage", "") if bound else ""
    modes = _modes(status.get("accessModes")) if bound else ""
    unset = spec.get("volumeAttributesClassName", "<unset>")
    storage = spec.get("storageClassName", "")
    return [
        name,
        phase,
        bound,
        capacity,
        modes,
        storage,
        unset,
        object_age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


def _modes(modes: list[str] | None) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in modes or [])
