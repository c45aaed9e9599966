"""Role-based access control, decided as k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fabula_local.apiserver.call import User
from fabula_local.apiserver.store import Store

Rule = Mapping[str, Any]

_GROUP = "rbac.authorization.k8s.io"
_KINDS = tuple(f"{plural}.{_GROUP}" for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"))


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a user wants to do."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    """A URL path instead of a resource."""


@dataclass(frozen=True, slots=True)
class _Grant:
    namespace: str
    """Where it holds; empty for everywhere."""
    rules: tuple[Rule, ...]
    reason: str


class Authorizer:
    """Answers from the stored roles and bindings; follows their changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: tuple[int, ...] = ()
        self._grants: dict[str, list[_Grant]] = {}

    def allows(self, user: User, wanted: Attributes) -> str | None:
        """Why it is allowed, or None where it is not."""
        if user.is_admin:
            return "member of system:masters"
        for grant in self._of(user):
            if grant.namespace and grant.namespace != wanted.namespace:
                continue
            if any(matches(rule, wanted) for rule in grant.rules):
                return grant.reason
        return None

    def _of(self, user: User) -> Iterator[_Grant]:
        self._refresh()
        for subject in (f"User:{user.name}", *(f"Group:{group}" for group in user.groups)):
            yield from self._grants.get(subject, ())

    def _refresh(self) -> None:
        now = tuple(self._store.history(kind).last for kind in _KINDS)
        if now == self._seen:
            return
        grants: dict[str, list[_Grant]] = {}
        for kind in ("rolebindings", "clusterrolebindings"):
            for stored in self._store.all(f"{kind}.{_GROUP}"):
                binding = stored.obj
                grant = self._grant(binding, stored.namespace)
                for subject in binding.get("subjects") or ():
                    grants.setdefault(_subject_key(subject, stored.namespace), []).append(grant)
        self._grants, self._seen = grants, now

    def _grant(self, binding: Mapping[str, Any], namespace: str) -> _Grant:
        reference = binding["roleRef"]
        role_namespace = namespace if reference["kind"] == "Role" else ""
        role = self._store.get(f"{reference['kind'].lower()}s.{_GROUP}", role_namespace, reference["name"])
        rules = tuple((role.obj.get("rules") or ()) if role else ())
        name = f"{namespace}/{binding['metadata']['name']}" if namespace else binding["metadata"]["name"]
        reason = f'RBAC: allowed by {binding["kind"]} "{name}" of {reference["kind"]} "{reference["name"]}"'
        return _Grant(namespace, rules, reason)


def matches(rule: Rule, wanted: Attributes) -> bool:
    """Whether the rule covers what is wanted."""
    if not _has(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_path_matches(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), wanted.group):
        return False
    names = rule.get("resourceNames") or ()
    if names and wanted.name not in names:
        return False
    resources = rule.get("resources") or ()
    if "*" in resources:
        return True
    if not wanted.subresource:
        return wanted.resource in resources
    return f"{wanted.resource}/{wanted.subresource}" in resources or f"*/{wanted.subresource}" in resources


def denial(user: User, wanted: Attributes) -> str:
    """Why not, in Kubernetes' words."""
    if wanted.path:
        return f'User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
    resource = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return f'User "{user.name}" cannot {wanted.verb} resource "{resource}" in API group "{wanted.group}" {where}'


def _has(allowed: Any, value: str) -> bool:
    return bool(allowed) and ("*" in allowed or value in allowed)


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _subject_key(subject: Mapping[str, Any], namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        return f"User:system:serviceaccount:{subject.get('namespace') or namespace}:{subject['name']}"
    return f"{subject['kind']}:{subject['name']}"
