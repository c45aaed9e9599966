"""The Kubernetes rights the operator needs, as data: the laptop's cluster and the chart grant exactly these."""

from __future__ import annotations

from typing import Any

from fabula_api.base import GROUP
from fabula_operator.render.launch import PLURALS

NAME = "fabula-operator"
_RUNS = sorted(PLURALS.values())

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
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]},
    # Ranks of a group on an Indexed Job find each other by a headless Service.
    {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]},
    # Why a queued run is not admitted; without Kueue the rule is empty words.
    {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
)
LEASE_RULES: tuple[dict[str, list[str]], ...] = (
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
)
"""Needed only in the operator's own namespace."""


def cluster_role(name: str = NAME) -> dict[str, Any]:
    """The ClusterRole, with the right to its Lease; the chart puts that into a Role of the operator's namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [*CLUSTER_RULES, *LEASE_RULES],
    }


def cluster_role_binding(namespace: str, service_account: str = NAME, name: str = NAME) -> dict[str, Any]:
    """Gives the ClusterRole to the operator's ServiceAccount."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": namespace}],
    }
