"""The resources the operator speaks of, with their URLs."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.base import GROUP, VERSION
from fabula_api.recipes import API_KINDS
from fabula_kube.kinds import CONFIG_MAP as CONFIG_MAP
from fabula_kube.kinds import EVENT as EVENT
from fabula_kube.kinds import JOB as JOB
from fabula_kube.kinds import LEASE as LEASE
from fabula_kube.kinds import POD as POD
from fabula_kube.kinds import PYTORCH_JOB as PYTORCH_JOB
from fabula_kube.kinds import SECRET as SECRET
from fabula_kube.kinds import SERVICE as SERVICE
from fabula_kube.resource import Obj as Obj
from fabula_kube.resource import Resource as Resource


@dataclass(frozen=True, slots=True)
class Request:
    """What a call is about, in the words of Kubernetes' own metrics."""

    verb: str
    resource: str
    """Plural name, with the subresource behind a slash; `discovery` for documents that list resources."""


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def request_of(method: str, path: str) -> Request:
    """What a call is about, from its method and path (Kubernetes API conventions, "Resource URIs")."""
    parts = path.split("/")[1:]
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    if not parts:
        return Request("get", "discovery")
    resource = "/".join((parts[0], *parts[2:]))
    return Request(_VERBS.get(method, "get" if len(parts) > 1 else "list"), resource)


KUEUE = "kueue.x-k8s.io"
WORKLOAD = Resource(KUEUE, "v1beta2", "Workload", "workloads")
TOKEN_REVIEW = Resource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)
RUNS: dict[str, Resource] = {
    kind: Resource(GROUP, VERSION, kind, definition.plural) for kind, definition in API_KINDS.items()
}
CHILDREN: dict[str, Resource] = {"Job": JOB, "PyTorchJob": PYTORCH_JOB}
