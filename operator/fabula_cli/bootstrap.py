"""What a cluster needs before the operator starts: CRDs, its ServiceAccount with the rights it uses, and a token.

On a laptop this takes the chart's place. The operator gets its own ServiceAccount's token and no more rights than in
production, so that a missing right shows here first.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ServiceAccountToken

from fabula_api.crd import crds
from fabula_cli.cluster import connect
from fabula_operator.rights import cluster_role

NAMESPACE = "fabula-system"
SERVICE_ACCOUNT = "fabula-operator"
_TOKEN_SECONDS = 365 * 24 * 3600

_CRD = create_global_resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
_KINDS = {
    "Namespace": create_global_resource("", "v1", "Namespace", "namespaces"),
    "ServiceAccount": create_namespaced_resource("", "v1", "ServiceAccount", "serviceaccounts"),
    "ClusterRole": create_global_resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    "ClusterRoleBinding": create_global_resource(
        "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"
    ),
}


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
        client.apply(_CRD.from_dict(manifest), force=True)
    for manifest in operator_objects():
        client.apply(_KINDS[manifest["kind"]].from_dict(manifest), force=True)
    for manifest in crds():
        client.wait(_CRD, manifest["metadata"]["name"], for_conditions=["Established"])


def write_operator_kubeconfig(admin: Path, target: Path) -> None:
    """A kubeconfig for the operator's ServiceAccount, with a token of a year. Mode 0600."""
    token = connect(admin).create(
        ServiceAccountToken(
            metadata=ObjectMeta(), spec=TokenRequestSpec(audiences=[], expirationSeconds=_TOKEN_SECONDS)
        ),
        SERVICE_ACCOUNT,
        namespace=NAMESPACE,
    )
    if token.status is None:
        raise RuntimeError("the API server answered a TokenRequest without a token")
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
                "users": [{"name": SERVICE_ACCOUNT, "user": {"token": token.status.token}}],
                "contexts": [{"name": "fabula", "context": {"cluster": "fabula", "user": SERVICE_ACCOUNT}}],
                "current-context": "fabula",
            }
        )
    )
