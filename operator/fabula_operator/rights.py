"""The Kubernetes rights the operator needs, as data: the laptop's cluster and the chart grant exactly these."""

from __future__ import annotations

from typing import Any

from fabula_api.base import GROUP
from fabula_api.recipes import API_KINDS
from fabula_operator.render.status_ca import CONFIG_MAP

NAME = "fabula-operator"
_RUNS = sorted(definition.plural for definition in API_KINDS.values())

CLUSTER_RULES: tuple[dict[str, list[str]], ...] = (
    {"apiGroups": [GROUP], "resources": _RUNS, "verbs": ["get", "list", "watch", "delete"]},
    {"apiGroups": [GROUP], "resources": [f"{plural}/status" for plural in _RUNS], "verbs": ["patch"]},
    # blockOwnerDeletion on children needs the right to finalize their owner where that admission check is on.
    {"apiGroups": [GROUP], "resources": [f"{plural}/finalizers" for plural in _RUNS], "verbs": ["update"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
    {
        "apiGroups": ["kubeflow.org"],
        "resources": ["pytorchjobs"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
    # A name cannot bound a creation; everything else that is done to the ConfigMap of the status server's CA is.
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [CONFIG_MAP], "verbs": ["get", "patch"]},
    # Ranks of a group on an Indexed Job find each other by a headless Service.
    {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]},
    # Why a queued run is not admitted; without Kueue the rule is empty words.
    {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads"], "verbs": ["list"]},
    # Written of runs; read of a child or pod that does not start.
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "list"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
)
REVIEW_RULES = tuple(rule for rule in CLUSTER_RULES if "tokenreviews" in rule["resources"])
"""What has no namespace: a ClusterRole grants it also where one namespace is watched."""


def lease_rules(lease: str = NAME) -> tuple[dict[str, list[str]], ...]:
    """The right to one Lease, needed in the operator's own namespace."""
    group = "coordination.k8s.io"
    return (
        {"apiGroups": [group], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": [group], "resources": ["leases"], "resourceNames": [lease], "verbs": ["get", "update"]},
    )


def cluster_role(name: str = NAME, lease: str = NAME) -> dict[str, Any]:
    """The ClusterRole, with the right to its Lease; the chart puts that into a Role of the operator's namespace."""
    return _role("ClusterRole", {"name": name}, (*CLUSTER_RULES, *lease_rules(lease)))


def namespaced(namespace: str, home: str, account: str = NAME, lease: str = NAME) -> list[dict[str, Any]]:
    """Roles and bindings of an operator that watches one namespace and runs in `home`: nothing reaches beyond the
    two but TokenReviews, which have no namespace."""
    rules = tuple(rule for rule in CLUSTER_RULES if rule not in REVIEW_RULES)
    roles = [
        _role("Role", {"name": NAME, "namespace": namespace}, rules),
        _role("Role", {"name": f"{NAME}-lease", "namespace": home}, lease_rules(lease)),
        _role("ClusterRole", {"name": f"{NAME}-{home}-reviews"}, REVIEW_RULES),
    ]
    return [*roles, *(_binding(role, home, account) for role in roles)]


def _role(kind: str, metadata: dict[str, str], rules: tuple[dict[str, list[str]], ...]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": list(rules),
    }  # fmt: skip


def _binding(role: dict[str, Any], home: str, account: str) -> dict[str, Any]:
    kind, metadata = role["kind"], role["metadata"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{kind}Binding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": metadata["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }


def cluster_role_binding(namespace: str, service_account: str = NAME, name: str = NAME) -> dict[str, Any]:
    """Gives the ClusterRole to the operator's ServiceAccount."""
    return _binding(cluster_role(name), namespace, service_account)
