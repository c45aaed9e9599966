"""What a cluster needs before the operator starts: CRDs, its ServiceAccount with the rights it uses, and a token.

On a laptop this takes the chart's place. The operator gets its own ServiceAccount's token and no more rights than in
production, so that a missing right shows here first.
"""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import yaml

from fabula_api.crd import crds
from fabula_cli.cluster import connect
from fabula_kube import kinds
from fabula_kube.blocking import Client
from fabula_kube.resource import Resource
from fabula_operator.rights import cluster_role

NAMESPACE = "fabula-system"
SERVICE_ACCOUNT = "fabula-operator"
_TOKEN_SECONDS = 365 * 24 * 3600

_RBAC = "rbac.authorization.k8s.io"
_KINDS = {
    "Namespace": kinds.NAMESPACE,
    "ServiceAccount": kinds.SERVICE_ACCOUNT,
    "ClusterRole": Resource(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
    "ClusterRoleBinding": Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
}
_LOOK_SECONDS = 0.2


def operator_objects() -> list[dict[str, Any]]:
    """Namespace, ServiceAccount, ClusterRole and binding of the operator."""
    role = cluster_role()
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": SERVICE_ACCOUNT, "namespace": NAMESPACE},
        },
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["metadata"]["name"]},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role["metadata"]["name"],
            },
            "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}],
        },
    ]


def install(kubeconfig: Path) -> None:
    """Apply CRDs and the operator's objects; the same again changes nothing."""
    client = connect(kubeconfig)
    for manifest in crds():
        client.apply(kinds.CRD, manifest)
    for manifest in operator_objects():
        client.apply(_KINDS[manifest["kind"]], manifest)
    for manifest in crds():
        while not _established(client, manifest["metadata"]["name"]):
            time.sleep(_LOOK_SECONDS)


def _established(client: Client, name: str) -> bool:
    status = client.get(kinds.CRD, None, name).get("status") or {}
    return any(
        condition["type"] == "Established" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )


def write_operator_kubeconfig(admin: Path, target: Path) -> None:
    """A kubeconfig for the operator's ServiceAccount, with a token of a year. Mode 0600."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": _TOKEN_SECONDS},
    }
    path = kinds.SERVICE_ACCOUNT.path(NAMESPACE, SERVICE_ACCOUNT, "token")
    token = connect(admin).request("POST", path, body=request)["status"]["token"]
    source = yaml.safe_load(admin.read_text())
    context = next(c["context"] for c in source["contexts"] if c["name"] == source["current-context"])
    cluster = next(c["cluster"] for c in source["clusters"] if c["name"] == context["cluster"])
    if path := cluster.pop("certificate-authority", None):
        data = (admin.parent / path).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(data).decode()
    target.touch(mode=0o600)
    target.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "fabula", "cluster": cluster}],
                "users": [{"name": SERVICE_ACCOUNT, "user": {"token": token}}],
                "contexts": [{"name": "fabula", "context": {"cluster": "fabula", "user": SERVICE_ACCOUNT}}],
                "current-context": "fabula",
            }
        )
    )
