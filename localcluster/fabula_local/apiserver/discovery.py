"""What is served, as clients ask for it: /api, /apis, each group and version, and the aggregated form of all of it."""

from typing import Any

from fabula_local.apiserver.registry import Registry
from fabula_local.resource import Resource

Object = dict[str, Any]

VERSION: Object = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.0",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-08-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "log": ("", "v1", "Pod", ("get",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "finalize": ("", "v1", "Namespace", ("update",)),
}
SERVED_SUBRESOURCES = frozenset((*_SUBRESOURCES, "status"))


def api_versions(address: str) -> Object:
    """GET /api."""
    clients = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": clients}


def group_list(registry: Registry) -> Object:
    """GET /apis."""
    groups = [_group(group, versions) for group, versions in registry.groups().items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object | None:
    """GET /apis/GROUP."""
    versions = registry.groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def resource_list(registry: Registry, group: str, version: str) -> Object | None:
    """GET /api/v1 or /apis/GROUP/VERSION."""
    served = [item for item in registry.all() if item.group == group and item.version == version]
    if not served:
        return None
    entries: list[Object] = []
    for item in served:
        entries.append(_resource(item))
        for name in sorted(item.subresources & SERVED_SUBRESOURCES):
            kind_group, kind_version, kind, verbs = _subresource(item, name)
            entry = {"name": f"{item.plural}/{name}", "singularName": "", "namespaced": item.namespaced, "kind": kind}
            if (kind_group, kind_version) != (item.group, item.version):
                entry |= {"group": kind_group, "version": kind_version}
            entries.append({**entry, "verbs": list(verbs)})
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def aggregated(registry: Registry, *, core: bool) -> Object:
    """GET /api (core) or /apis in the aggregated form, v2."""
    items = []
    for name, versions in registry.groups().items():
        if bool(name) is core:
            continue
        entries = [
            {
                "version": version,
                "resources": [
                    _aggregated(item) for item in registry.all() if (item.group, item.version) == (name, version)
                ],
                "freshness": "Current",
            }
            for version in versions
        ]
        items.append({"metadata": {"name": name, "creationTimestamp": None}, "versions": entries})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resource(item: Resource) -> Object:
    entry: Object = {
        "name": item.plural,
        "singularName": item.singular,
        "namespaced": item.namespaced,
        "kind": item.kind,
        "verbs": list(item.verbs),
    }
    if item.short_names:
        entry["shortNames"] = list(item.short_names)
    if item.categories:
        entry["categories"] = list(item.categories)
    return entry


def _subresource(item: Resource, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    return _SUBRESOURCES.get(name, (item.group, item.version, item.kind, ("get", "patch", "update")))


def _aggregated(item: Resource) -> Object:
    entry: Object = {
        "resource": item.plural,
        "responseKind": {"group": item.group, "version": item.version, "kind": item.kind},
        "scope": "Namespaced" if item.namespaced else "Cluster",
        "singularResource": item.singular,
        "verbs": list(item.verbs),
    }
    if item.short_names:
        entry["shortNames"] = list(item.short_names)
    if item.categories:
        entry["categories"] = list(item.categories)
    below = []
    for name in sorted(item.subresources & SERVED_SUBRESOURCES):
        group, version, kind, verbs = _subresource(item, name)
        answered = {"group": group, "version": version, "kind": kind}
        below.append({"subresource": name, "responseKind": answered, "verbs": list(verbs)})
    if below:
        entry["subresources"] = below
    return entry
