"""Columns and cells of the built-in kinds, as the printers of a real API server give them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from .age import UNKNOWN, age, human_duration, parse_time
from .pod_printer import pod_cells

Object = dict[str, Any]
Column = tuple[str, str, int, str, str]
"""Name, type, priority, description, format."""


class Printer(NamedTuple):
    """How one kind is shown: its columns and a function from object and time to cells."""

    columns: list[Column]
    cells: Callable[[Object, datetime], list[Any]]


NONE = "<none>"
_INTEGERS = frozenset(
    (
        "Desired",
        "Current",
        "Up-to-date",
        "Available",
        "Data",
        "Secrets",
        "Active",
        "Count",
        "Value",
        "Allowed Disruptions",
    )
)


def _columns(shown: str, wide: str = "") -> list[Column]:
    columns: list[Column] = []
    for names, priority in ((shown, 0), (wide, 1)):
        for name in filter(None, names.split("|")):
            kind = "integer" if name in _INTEGERS else "date" if name == "Created At" else "string"
            columns.append((name, kind, priority, "", "name" if name == "Name" and not priority else ""))
    return columns


def _meta(obj: Object) -> tuple[str, Object, Object]:
    return obj["metadata"].get("name", ""), obj.get("spec") or {}, obj.get("status") or {}


def _age(obj: Object, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _created(obj: Object) -> str:
    return str(obj["metadata"].get("creationTimestamp", UNKNOWN))


def _containers(template: Object) -> list[str]:
    containers = template.get("spec", {}).get("containers", [])
    return [",".join(one.get("name", "") for one in containers), ",".join(one.get("image", "") for one in containers)]


def selector_text(selector: Object | None) -> str:
    """A LabelSelector, or plain labels, in the form that kubectl takes."""
    if not selector:
        return NONE
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or NONE
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or []:
        values = f"({','.join(sorted(rule.get('values') or []))})"
        forms = {"In": f" in {values}", "NotIn": f" notin {values}", "Exists": ""}
        operator = rule.get("operator")
        parts.append(f"!{rule['key']}" if operator == "DoesNotExist" else rule["key"] + forms.get(operator, ""))
    return ",".join(parts) or NONE


def _true(status: Object, kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in status.get("conditions") or [])


def _job(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
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
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed"), ("", "Terminating"), ("Suspended", "Suspended"),
                            ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet")):  # fmt: skip
        if _true(status, condition) if condition else "deletionTimestamp" in obj["metadata"]:
            state = word
            break
    template = spec.get("template", {})
    return [
        name,
        state,
        completions,
        lasted,
        _age(obj, now),
        *_containers(template),
        selector_text(spec.get("selector")),
    ]


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    last = age(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE
    template = spec.get("jobTemplate", {}).get("spec", {})
    suspend = "True" if spec.get("suspend") else "False"
    zone = spec.get("timeZone", NONE)
    head = [name, spec.get("schedule", ""), zone, suspend, len(status.get("active") or []), last, _age(obj, now)]
    return [*head, *_containers(template.get("template", {})), selector_text(template.get("selector"))]


def _deployment(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    wide = [*_containers(spec.get("template", {})), selector_text(spec.get("selector"))]
    return [name, ready, updated, available, _age(obj, now), *wide]


def _replicas(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name, *counts, _age(obj, now), *_containers(spec.get("template", {})), selector_text(spec.get("selector"))]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name, ready, _age(obj, now), *_containers(spec.get("template", {}))]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    fields = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    template = spec.get("template", {})
    nodes = selector_text(template.get("spec", {}).get("nodeSelector"))
    wide = [*_containers(template), selector_text(spec.get("selector"))]
    return [name, *(status.get(field, 0) for field in fields), nodes, _age(obj, now), *wide]


def _service(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
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
    return [name, kind, address, external, ",".join(ports) or NONE, _age(obj, now), selector_text(spec.get("selector"))]


def _node(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    conditions = {one.get("type"): one.get("status") for one in status.get("conditions") or []}
    state = "Unknown" if "Ready" not in conditions else "Ready" if conditions["Ready"] == "True" else "NotReady"
    if spec.get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    roles = ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or NONE
    addresses = {one.get("type"): one.get("address") for one in status.get("addresses") or []}
    info = status.get("nodeInfo") or {}
    wide = [addresses.get("InternalIP", NONE), addresses.get("ExternalIP", NONE)]
    wide += [info.get(key) or UNKNOWN for key in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [name, state, roles, _age(obj, now), info.get("kubeletVersion", ""), *wide]


def _event(obj: Object, now: datetime) -> list[Any]:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    series = obj.get("series") or {}
    event_time = obj.get("eventTime")
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or event_time
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    origin = ", ".join(filter(None, (component, source.get("host") or obj.get("reportingInstance"))))
    count = series.get("count") or obj.get("count") or obj.get("deprecatedCount") or 1
    target = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    message = (obj.get("message") or obj.get("note") or "").strip()
    wide = [age(first, now), count, obj["metadata"]["name"]]
    head = [age(last, now), obj.get("type", ""), obj.get("reason", ""), target]
    return [*head, about.get("fieldPath", ""), origin, message, *wide]


def _binding(obj: Object, now: datetime) -> list[Any]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []

    def names(kind: str) -> str:
        found = (one for one in subjects if one.get("kind") == kind)
        return ", ".join(f"{one['namespace']}/{one['name']}" if one.get("namespace") else one["name"] for one in found)

    parts = [names(kind) for kind in ("User", "Group", "ServiceAccount")]
    return [obj["metadata"]["name"], f"{role.get('kind')}/{role.get('name')}", _age(obj, now), *parts]


def _claim(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    phase = "Terminating" if "deletionTimestamp" in obj["metadata"] else status.get("phase", "Pending")
    bound = spec.get("volumeName", "")
    capacity = (status.get("capacity") or {}).get("storage", "") if bound else ""
    modes = _modes(status.get("accessModes")) if bound else ""
    unset = spec.get("volumeAttributesClassName", "<unset>")
    storage = spec.get("storageClassName", "")
    return [name, phase, bound, capacity, modes, storage, unset, _age(obj, now), spec.get("volumeMode", "<unset>")]


def _volume(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    claim = spec.get("claimRef")
    bound = f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""
    phase = "Terminating" if "deletionTimestamp" in obj["metadata"] else status.get("phase", "")
    head = [name, (spec.get("capacity") or {}).get("storage", ""), _modes(spec.get("accessModes"))]
    head += [spec.get("persistentVolumeReclaimPolicy", ""), phase, bound, spec.get("storageClassName", "")]
    tail = [status.get("reason", ""), _age(obj, now), spec.get("volumeMode", "<unset>")]
    return [*head, spec.get("volumeAttributesClassName", "<unset>"), *tail]


def _modes(modes: list[str] | None) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in modes or [])


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    points = []
    for subset in obj.get("subsets") or []:
        for address in subset.get("addresses") or []:
            points += [f"{address['ip']}:{port['port']}" for port in subset.get("ports") or []] or [address["ip"]]
    more = f" + {len(points) - 3} more..." if len(points) > 3 else ""
    return [obj["metadata"]["name"], (",".join(points[:3]) + more) or NONE, _age(obj, now)]


def _disruption_budget(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    bounds = [str(spec.get("minAvailable", "N/A")), str(spec.get("maxUnavailable", "N/A"))]
    return [name, *bounds, status.get("disruptionsAllowed", 0), _age(obj, now)]


def _ingress(obj: Object, now: datetime) -> list[Any]:
    name, spec, status = _meta(obj)
    hosts = ",".join(rule.get("host") or "*" for rule in spec.get("rules") or []) or "*"
    points = (status.get("loadBalancer") or {}).get("ingress") or []
    address = ",".join(point.get("ip") or point.get("hostname", "") for point in points)
    ports = "80, 443" if spec.get("tls") else "80"
    return [name, spec.get("ingressClassName", NONE), hosts, address, ports, _age(obj, now)]


_WORKLOAD = "Containers|Images|Selector"
_POD_WIDE = "IP|Node|Nominated Node|Readiness Gates"
_NODE_WIDE = "Internal-IP|External-IP|OS-Image|Kernel-Version|Container-Runtime"

_EVENT_COLUMNS = [
    ("Last Seen", "string", 0, "", ""),
    ("Type", "string", 0, "", ""),
    ("Reason", "string", 0, "", ""),
    ("Object", "string", 0, "", ""),
    ("Subobject", "string", 1, "", ""),
    ("Source", "string", 1, "", ""),
    ("Message", "string", 0, "", ""),
    ("First Seen", "string", 1, "", ""),
    ("Count", "integer", 1, "", ""),
    ("Name", "string", 1, "", "name"),
]
_RBAC = ".rbac.authorization.k8s.io"


def _simple(columns: str, *cells: Callable[[Object], Any], wide: str = "") -> Printer:
    """A printer whose first cell is the name; "Age" cells are filled in where the column is named so."""
    names = columns.split("|")[1:] + [one for one in wide.split("|") if one]
    getters = iter(cells)
    order = [None if name == "Age" else next(getters) for name in names]

    def show(obj: Object, now: datetime) -> list[Any]:
        return [obj["metadata"]["name"], *(_age(obj, now) if cell is None else cell(obj) for cell in order)]

    return Printer(_columns(columns, wide), show)


PRINTERS: dict[str, Printer] = {
    "pods": Printer(_columns("Name|Ready|Status|Restarts|Age", _POD_WIDE), pod_cells),
    "jobs.batch": Printer(_columns("Name|Status|Completions|Duration|Age", _WORKLOAD), _job),
    "cronjobs.batch": Printer(
        _columns("Name|Schedule|Timezone|Suspend|Active|Last Schedule|Age", _WORKLOAD), _cron_job
    ),
    "deployments.apps": Printer(_columns("Name|Ready|Up-to-date|Available|Age", _WORKLOAD), _deployment),
    "replicasets.apps": Printer(_columns("Name|Desired|Current|Ready|Age", _WORKLOAD), _replicas),
    "replicationcontrollers": Printer(_columns("Name|Desired|Current|Ready|Age", _WORKLOAD), _replicas),
    "statefulsets.apps": Printer(_columns("Name|Ready|Age", "Containers|Images"), _stateful_set),
    "daemonsets.apps": Printer(
        _columns("Name|Desired|Current|Ready|Up-to-date|Available|Node Selector|Age", _WORKLOAD), _daemon_set
    ),
    "services": Printer(_columns("Name|Type|Cluster-IP|External-IP|Port(s)|Age", "Selector"), _service),
    "endpoints": Printer(_columns("Name|Endpoints|Age"), _endpoints),
    "nodes": Printer(_columns("Name|Status|Roles|Age|Version", _NODE_WIDE), _node),
    "events": Printer(_EVENT_COLUMNS, _event),
    "events.events.k8s.io": Printer(_EVENT_COLUMNS, _event),
    "namespaces": _simple("Name|Status|Age", lambda obj: (obj.get("status") or {}).get("phase", "Active")),
    "configmaps": _simple("Name|Data|Age", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})),
    "secrets": _simple("Name|Type|Data|Age", lambda obj: obj.get("type", ""), lambda obj: len(obj.get("data") or {})),
    "serviceaccounts": _simple("Name|Secrets|Age", lambda obj: len(obj.get("secrets") or [])),
    "leases.coordination.k8s.io": _simple(
        "Name|Holder|Age", lambda obj: (obj.get("spec") or {}).get("holderIdentity", "")
    ),
    "customresourcedefinitions.apiextensions.k8s.io": _simple("Name|Created At", _created),
    f"roles{_RBAC}": _simple("Name|Created At", _created),
    f"clusterroles{_RBAC}": _simple("Name|Created At", _created),
    f"rolebindings{_RBAC}": Printer(_columns("Name|Role|Age", "Users|Groups|ServiceAccounts"), _binding),
    f"clusterrolebindings{_RBAC}": Printer(_columns("Name|Role|Age", "Users|Groups|ServiceAccounts"), _binding),
    "limitranges": _simple("Name|Created At", _created),
    "persistentvolumeclaims": Printer(
        _columns("Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age", "VolumeMode"),
        _claim,
    ),
    "persistentvolumes": Printer(
        _columns(
            "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age",
            "VolumeMode",
        ),
        _volume,
    ),
    "poddisruptionbudgets.policy": Printer(
        _columns("Name|Min Available|Max Unavailable|Allowed Disruptions|Age"), _disruption_budget
    ),
    "ingresses.networking.k8s.io": Printer(_columns("Name|Class|Hosts|Address|Ports|Age"), _ingress),
    "networkpolicies.networking.k8s.io": _simple(
        "Name|Pod-Selector|Age", lambda obj: selector_text((obj.get("spec") or {}).get("podSelector"))
    ),
    "priorityclasses.scheduling.k8s.io": _simple(
        "Name|Value|Global-Default|Age|PreemptionPolicy",
        lambda obj: obj.get("value", 0),
        lambda obj: bool(obj.get("globalDefault")),
        lambda obj: obj.get("preemptionPolicy", ""),
    ),
    "storageclasses.storage.k8s.io": _simple(
        "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age",
        lambda obj: obj.get("provisioner", ""),
        lambda obj: obj.get("reclaimPolicy", "Delete"),
        lambda obj: obj.get("volumeBindingMode", UNKNOWN),
        lambda obj: bool(obj.get("allowVolumeExpansion")),
    ),
}
"""By resource and group, for example "jobs.batch"."""
