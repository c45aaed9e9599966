"""The built-in kinds that the laptop cluster serves: names, scopes, verbs and schemas.

Only kinds that something here acts on or that others are asked about: a StatefulSet that nobody runs, or a quota that
nobody keeps, is better not found than accepted. Policies for the network and for disruptions come with installations,
and a real cluster accepts them too where nothing enforces them.

Schemas come from generated types (see builtin_types) and the rules that those lack (builtin_rules).
"""

from typing import Any

from fabula_local.resource import ALL_VERBS, Resource

from .builtin_types import type_schema

CREATE_ONLY = ("create",)

_SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}

# group/version | Kind plural | N(amespaced) or C(luster) | short names | subresources | categories
_KINDS = """
v1 | Namespace namespaces | C | ns | status finalize |
v1 | Pod pods | N | po | status log binding | all
v1 | Service services | N | svc | status | all
v1 | Endpoints endpoints | N | ep | |
v1 | ConfigMap configmaps | N | cm | |
v1 | Secret secrets | N | | |
v1 | ServiceAccount serviceaccounts | N | sa | token |
v1 | Event events | N | ev | |
v1 | Node nodes | C | no | status |
v1 | PersistentVolumeClaim persistentvolumeclaims | N | pvc | status |
apps/v1 | Deployment deployments | N | deploy | status scale | all
apps/v1 | ReplicaSet replicasets | N | rs | status scale | all
batch/v1 | Job jobs | N | | status | all
coordination.k8s.io/v1 | Lease leases | N | | |
rbac.authorization.k8s.io/v1 | Role roles | N | | |
rbac.authorization.k8s.io/v1 | RoleBinding rolebindings | N | | |
rbac.authorization.k8s.io/v1 | ClusterRole clusterroles | C | | |
rbac.authorization.k8s.io/v1 | ClusterRoleBinding clusterrolebindings | C | | |
networking.k8s.io/v1 | NetworkPolicy networkpolicies | N | netpol | |
policy/v1 | PodDisruptionBudget poddisruptionbudgets | N | pdb | status |
scheduling.k8s.io/v1 | PriorityClass priorityclasses | C | pc | |
discovery.k8s.io/v1 | EndpointSlice endpointslices | N | | |
apiextensions.k8s.io/v1 | CustomResourceDefinition customresourcedefinitions | C | crd crds | status | api-extensions
authentication.k8s.io/v1 | TokenReview tokenreviews | C | | |
authentication.k8s.io/v1 | SelfSubjectReview selfsubjectreviews | C | | |
authorization.k8s.io/v1 | SubjectAccessReview subjectaccessreviews | C | | |
authorization.k8s.io/v1 | SelfSubjectAccessReview selfsubjectaccessreviews | C | | |
"""


def builtin_resources() -> list[Resource]:
    """Every built-in kind the server offers, in the order of discovery."""
    return [_resource(line) for line in _KINDS.strip().splitlines()]


def _resource(line: str) -> Resource:
    api_version, names, scope, short, subresources, categories = (part.strip() for part in line.split("|"))
    kind, plural = names.split()
    group, _, version = api_version.rpartition("/")
    review = kind.endswith("Review")
    parts = frozenset(subresources.split())
    return Resource(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        list_kind=f"{kind}List",
        namespaced=scope == "N",
        short_names=tuple(short.split()),
        categories=tuple(categories.split()),
        verbs=CREATE_ONLY if review else ALL_VERBS,
        schema=_schema(group, version, kind),
        subresources=parts,
        storage=not review,
        scale=dict(_SCALE) if "scale" in parts else None,
    )


def _schema(group: str, version: str, kind: str) -> dict[str, Any]:
    return type_schema(f"{group.split('.')[0] or 'core'}_{version}", kind)
