"""Whether a pod fits a node, and the words for why not. Pure; the wording is kube-scheduler's."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from fabula_kube.quantity import parse_quantity
from fabula_local.kinds import Obj

Resources = dict[str, Decimal]

OWN_CONDITION_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""Put on a new node by the API server and taken off by the node lifecycle controller, which need not be there."""


def requests(pod: Obj) -> Resources:
    """What the pod asks for: the sum over containers, or the largest init container where that is more; one pod."""
    spec = pod["spec"]
    total: Resources = {}
    for container in spec["containers"]:
        _add(total, _container_requests(container))
    for container in spec.get("initContainers") or ():
        asked = _container_requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            continue
        for name, amount in asked.items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    _add(total, {name: parse_quantity(value) for name, value in (spec.get("overhead") or {}).items()})
    total["pods"] = Decimal(1)
    return total


def _container_requests(container: Obj) -> Resources:
    resources = container.get("resources") or {}
    # A limit without a request is a request, as the API server defaults it.
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(value) for name, value in asked.items()}


def _add(total: Resources, more: Mapping[str, Decimal]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def used(pods: Iterable[Obj], node_name: str) -> Resources:
    """What the unfinished pods bound to a node ask for together."""
    total: Resources = {}
    for pod in pods:
        phase = (pod.get("status") or {}).get("phase")
        if pod["spec"].get("nodeName") == node_name and phase not in ("Succeeded", "Failed"):
            _add(total, requests(pod))
    return total


def obstacles(pod: Obj, node: Obj, taken: Mapping[str, Decimal]) -> list[str]:
    """Why the pod cannot run on the node; empty if it can."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    if any(entry["type"] == "Ready" and entry["status"] != "True" for entry in conditions):
        return ["node(s) were not ready"]
    if node["spec"].get("unschedulable"):
        return ["node(s) were unschedulable"]
    if not _selected(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    for taint in node["spec"].get("taints") or ():
        if taint["key"] in OWN_CONDITION_TAINTS or taint["effect"] == "PreferNoSchedule":
            continue
        if not any(_tolerates(toleration, taint) for toleration in pod["spec"].get("tolerations") or ()):
            return [f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"]
    status = node.get("status") or {}
    room = {name: parse_quantity(value) for name, value in (status.get("allocatable") or {}).items()}
    lacking = []
    for name, amount in requests(pod).items():
        if amount and amount > room.get(name, Decimal(0)) - taken.get(name, Decimal(0)):
            lacking.append("Too many pods" if name == "pods" else f"Insufficient {name}")
    return lacking


def _selected(pod: Obj, node: Obj) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity is None:
        return True
    return any(_matches(term, labels, node["metadata"]["name"]) for term in affinity["nodeSelectorTerms"])


def _matches(term: Obj, labels: Mapping[str, str], name: str) -> bool:
    expressions = [(labels.get(entry["key"]), entry) for entry in term.get("matchExpressions") or ()]
    expressions += [(name, entry) for entry in term.get("matchFields") or ()]
    return bool(expressions) and all(_holds(value, entry) for value, entry in expressions)


def _holds(value: str | None, expression: Obj) -> bool:
    values = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case "Lt":
            return value is not None and int(value) < int(values[0])
    return False


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def unschedulable_message(obstacles_by_node: Sequence[Sequence[str]]) -> str:
    """The message of PodScheduled=False, for example "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."."""
    counts = Counter(reason for reasons in obstacles_by_node for reason in reasons)
    parts = sorted(f"{number} {reason}" for reason, number in counts.items())
    return f"0/{len(obstacles_by_node)} nodes are available: {', '.join(parts)}."
