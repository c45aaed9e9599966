"""The roles that every cluster starts with, so that anyone authenticated can read discovery and ask who they are."""

from typing import Any

Object = dict[str, Any]

_GROUP = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_WORKLOADS: list[tuple[str, list[str]]] = [
    (
        "",
        [
            *("configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/log", "pods/status"),
            *("serviceaccounts", "services"),
        ],
    ),
    ("apps", ["deployments", "deployments/scale", "replicasets"]),
    ("batch", ["jobs", "jobs/status"]),
]


def _rules(verbs: list[str]) -> list[Object]:
    return [{"apiGroups": [group], "resources": names, "verbs": verbs} for group, names in _WORKLOADS]


def _urls(*paths: str) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


_VIEW = _rules(_READ)
_EDIT = [
    *_rules(_READ + _WRITE),
    {"apiGroups": [""], "resources": ["secrets"], "verbs": _READ + _WRITE},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": _READ + _WRITE},
]
_ADMIN = [*_EDIT, {"apiGroups": [_GROUP], "resources": ["rolebindings", "roles"], "verbs": _READ + _WRITE}]

_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_ROLES: dict[str, list[Object]] = {
    "cluster-admin": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "admin": _ADMIN,
    "edit": _EDIT,
    "view": _VIEW,
    "system:discovery": [_urls("/api", "/api/*", "/apis", "/apis/*", *_HEALTH, "/openapi", "/openapi/*")],
    "system:public-info-viewer": [_urls(*_HEALTH)],
    "system:basic-user": [
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews"],
            "verbs": ["create"],
        },
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ],
    "system:auth-delegator": [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ],
}
_BINDINGS: dict[str, list[str]] = {
    "cluster-admin": ["system:masters"],
    "system:discovery": ["system:authenticated"],
    "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
    "system:basic-user": ["system:authenticated"],
}


def bootstrap_objects() -> list[tuple[str, Object]]:
    """(plural, object) of each default role and binding."""
    roles = [("clusterroles", _object("ClusterRole", name, rules=rules)) for name, rules in _ROLES.items()]
    bindings = [("clusterrolebindings", _binding(name, groups)) for name, groups in _BINDINGS.items()]
    return [*roles, *bindings]


def _object(kind: str, name: str, **body: Any) -> Object:
    return {"kind": kind, "apiVersion": f"{_GROUP}/v1", "metadata": {"name": name, "labels": dict(_LABELS)}, **body}


def _binding(name: str, groups: list[str]) -> Object:
    subjects = [{"kind": "Group", "apiGroup": _GROUP, "name": group} for group in groups]
    role = {"kind": "ClusterRole", "apiGroup": _GROUP, "name": name}
    return _object("ClusterRoleBinding", name, roleRef=role, subjects=subjects)
