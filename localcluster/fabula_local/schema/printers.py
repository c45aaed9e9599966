"""Printers of the built-in kinds that people look at, by resource and group; of others name and age are shown."""

from . import core_printers as core
from . import workload_printers as workload
from .pod_printer import pod_cells
from .printing import Column, Printer, columns, created_at, simple_printer

_WORKLOAD = "Containers|Images|Selector"
_POD_WIDE = "IP|Node|Nominated Node|Readiness Gates"
_NODE_WIDE = "Internal-IP|External-IP|OS-Image|Kernel-Version|Container-Runtime"

_EVENT_COLUMNS: list[Column] = [
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

PRINTERS: dict[str, Printer] = {
    "pods": Printer(columns("Name|Ready|Status|Restarts|Age", _POD_WIDE), pod_cells),
    "jobs.batch": Printer(columns("Name|Status|Completions|Duration|Age", _WORKLOAD), workload.job_cells),
    "deployments.apps": Printer(columns("Name|Ready|Up-to-date|Available|Age", _WORKLOAD), workload.deployment_cells),
    "replicasets.apps": Printer(columns("Name|Desired|Current|Ready|Age", _WORKLOAD), workload.replicas_cells),
    "services": Printer(columns("Name|Type|Cluster-IP|External-IP|Port(s)|Age", "Selector"), core.service_cells),
    "nodes": Printer(columns("Name|Status|Roles|Age|Version", _NODE_WIDE), core.node_cells),
    "events": Printer(_EVENT_COLUMNS, core.event_cells),
    "namespaces": simple_printer("Name|Status|Age", lambda obj: (obj.get("status") or {}).get("phase", "Active")),
    "configmaps": simple_printer(
        "Name|Data|Age", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    ),
    "secrets": simple_printer(
        "Name|Type|Data|Age", lambda obj: obj.get("type", ""), lambda obj: len(obj.get("data") or {})
    ),
    "serviceaccounts": simple_printer("Name|Secrets|Age", lambda obj: len(obj.get("secrets") or [])),
    "leases.coordination.k8s.io": simple_printer(
        "Name|Holder|Age", lambda obj: (obj.get("spec") or {}).get("holderIdentity", "")
    ),
    "customresourcedefinitions.apiextensions.k8s.io": simple_printer("Name|Created At", created_at),
    "persistentvolumeclaims": Printer(
        columns("Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age", "VolumeMode"),
        core.claim_cells,
    ),
    "priorityclasses.scheduling.k8s.io": simple_printer(
        "Name|Value|Global-Default|Age|PreemptionPolicy",
        lambda obj: obj.get("value", 0),
        lambda obj: bool(obj.get("globalDefault")),
        lambda obj: obj.get("preemptionPolicy", ""),
    ),
}
"""By resource and group, for example "jobs.batch"."""
