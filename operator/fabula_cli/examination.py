"""Looking at a cluster for `fabula doctor`: each thing is read for itself, since a user may not see them all."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fabula_api.base import GROUP
from fabula_api.recipes import API_KINDS, broken, recipes
from fabula_api.uri import FILE
from fabula_cli.access import Access
from fabula_cli.bootstrap import NAMESPACE, SERVICE_ACCOUNT
from fabula_cli.checks import NOT_FOUND, Unseen, seen
from fabula_cli.diagnosis import Facts, Right
from fabula_cli.exits import CommandFailed
from fabula_cli.installation import Installation, installation
from fabula_cli.model_cache import CacheSeen
from fabula_cli.model_cache import look as look_at_cache
from fabula_cli.store import opened, operators
from fabula_cli.worker_secret import SecretSeen
from fabula_cli.worker_secret import look as look_at_secret
from fabula_kube.kinds import CRD, LEASE, NODE, RESOURCE_QUOTA
from fabula_kube.resource import Obj, Resource
from fabula_operator.kube.resources import KUEUE
from fabula_operator.rights import CLUSTER_RULES

_LOCAL_QUEUE = Resource(KUEUE, "v1beta2", "LocalQueue", "localqueues")
_MONITORS = (
    Resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    Resource("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
)
_AUTHORIZATION = "authorization.k8s.io"
_OWN_REVIEW = Resource(_AUTHORIZATION, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
_REVIEW = Resource(_AUTHORIZATION, "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False)
_OURS = "fabula"
_LABELLED = f"app.kubernetes.io/part-of={_OURS}"


def examine(reach: Access, root: str | None) -> Facts:
    """All that is looked at. Raises NoAnswer when the cluster does not answer."""
    client, space = reach.client, reach.namespace
    deployments = seen(lambda: operators(reach))
    account = _account(deployments)
    release = _release(reach, deployments)
    return Facts(
        namespace=space,
        crds=seen(lambda: {str(crd["metadata"]["name"]): crd for crd in client.list(CRD, None)}),
        user_rights=seen(lambda: [_own_right(reach, *right) for right in _wanted()]),
        account="/".join(account) if account else None,
        operator_rights=seen(lambda: _operator_rights(reach, account)) if account else (),
        leases=seen(lambda: _leases(reach, release)),
        deployments=deployments,
        nodes=seen(lambda: client.list(NODE, None)),
        local_queues=seen(lambda: _names(client.list(reach.served(_LOCAL_QUEUE), space))),
        monitors=seen(lambda: _monitors(reach)),
        secret=_secret(reach, release),
        quotas=_quotas(reach),
        cache=_cache(reach, release),
        worker=release.worker if isinstance(release, Installation) else None,
        root=root,
        store_problem=None if root is None else probe(root),
        recipes=sorted(recipes()),
        broken_recipes=list(broken().values()),
    )


def _names(objects: list[Obj]) -> list[str]:
    return sorted(str(obj["metadata"]["name"]) for obj in objects)


def _monitors(reach: Access) -> list[str]:
    return [
        f"{resource.kind} {name}"
        for resource in _MONITORS
        for name in _names(reach.client.list(resource, None, _LABELLED))
    ]


def _leases(reach: Access, release: Installation | Unseen | None) -> list[dict[str, Any]]:
    """The Lease of the installation; where none was found, all that may be an operator's. Nodes and controllers of a
    cluster that is called `fabula` have Leases of that name too."""
    if isinstance(release, Installation):
        return [
            lease
            for lease in reach.client.list(LEASE, release.lease[0])
            if lease["metadata"]["name"] == release.lease[1]
        ]
    leases = [
        lease for lease in reach.client.list(LEASE, None) if not lease["metadata"]["namespace"].startswith("kube-")
    ]
    return [lease for lease in leases if _OURS in str(lease["metadata"]["name"])]


def _quotas(reach: Access) -> list[dict[str, Any]] | Unseen:
    quotas = seen(lambda: reach.client.list(RESOURCE_QUOTA, reach.namespace))
    # A server without the kind bounds nothing.
    return [] if isinstance(quotas, Unseen) and quotas.why == NOT_FOUND else quotas


def _release(reach: Access, deployments: list[dict[str, Any]] | Unseen) -> Installation | Unseen | None:
    if isinstance(deployments, Unseen):
        return deployments
    if not deployments:
        return None
    try:
        return seen(lambda: installation(reach, deployments[0]))
    except ValueError as error:
        return Unseen(str(error))


def _secret(reach: Access, release: Installation | Unseen | None) -> SecretSeen | Unseen | None:
    if not isinstance(release, Installation):
        return release
    name = release.worker.defaults.secret_name
    return seen(lambda: look_at_secret(reach, name)) if name else None


def _cache(reach: Access, release: Installation | Unseen | None) -> CacheSeen | Unseen | None:
    return look_at_cache(reach, release.worker.defaults.model_cache) if isinstance(release, Installation) else release


def _account(deployments: list[dict[str, Any]] | Unseen) -> tuple[str, str] | None:
    """Namespace and name of the operator's ServiceAccount: its Deployment's; the laptop's where there is none."""
    if isinstance(deployments, Unseen):
        return None
    if not deployments:
        return NAMESPACE, SERVICE_ACCOUNT
    deployment = deployments[0]
    name = deployment["spec"]["template"]["spec"].get("serviceAccountName") or "default"
    return str(deployment["metadata"]["namespace"]), str(name)


def _wanted() -> list[tuple[str, str, str, str]]:
    """(verb, group, resource, subresource) of what this command and kubectl do for a user."""
    runs = [
        (verb, GROUP, api_kind.plural, "")
        for api_kind in API_KINDS.values()
        for verb in ("create", "list", "patch", "delete")
    ]
    return [*runs, ("list", "", "pods", ""), ("get", "", "pods", "log")]


def _own_right(reach: Access, verb: str, group: str, resource: str, below: str) -> Right:
    asked = {"namespace": reach.namespace, "verb": verb, "group": group, "resource": resource, "subresource": below}
    allowed = _allowed(reach, _OWN_REVIEW, {"resourceAttributes": asked})
    return Right(verb, group, f"{resource}/{below}" if below else resource, allowed)


def _operator_rights(reach: Access, account: tuple[str, str]) -> list[Right]:
    rights = []
    for rule in CLUSTER_RULES:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    names = rule.get("resourceNames", [None])
                    rights.append(_right_of(reach, account, verb, group, resource, names[0]))
    return rights


def _right_of(reach: Access, account: tuple[str, str], verb: str, group: str, resource: str, name: str | None) -> Right:
    plural, _, below = resource.partition("/")
    # TokenReviews have no namespace.
    space = None if plural == "tokenreviews" else reach.namespace
    asked = {"namespace": space, "verb": verb, "group": group, "resource": plural, "subresource": below, "name": name}
    user = f"system:serviceaccount:{account[0]}:{account[1]}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}", "system:authenticated"]
    review = {"resourceAttributes": asked, "user": user, "groups": groups}
    return Right(verb, group, resource, _allowed(reach, _REVIEW, review))


def _allowed(reach: Access, resource: Resource, spec: Obj) -> bool:
    attributes = {key: value for key, value in spec["resourceAttributes"].items() if value}
    answer = reach.client.review(resource, None, {**spec, "resourceAttributes": attributes})
    return bool((answer.get("status") or {}).get("allowed"))


def probe(root: str) -> str | None:
    """Write, read and remove one small file below the root; why that did not work, or None."""
    if root.startswith(FILE) and not Path(unquote(root.removeprefix(FILE))).is_dir():
        # A write would make the folder here, whatever the cluster has under the same path.
        return "there is no such folder on this machine"
    path = f".fabula-doctor-{uuid.uuid4().hex}"
    try:
        with opened(root) as store:
            store.write(path, b"probe")
            try:
                if store.read(path) != b"probe":
                    return f"{root} does not give back what was written"
            finally:
                store.delete(path)
    except CommandFailed as error:
        return str(error)
    return None
