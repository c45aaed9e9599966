"""Which kinds are served now: the built-in ones, and those that CustomResourceDefinitions add."""

from collections.abc import Iterable, Mapping
from typing import Any

from fabula_local.resource import Resource
from fabula_local.schema.cel import CelRules
from fabula_local.schema.crd import resources_of


def storage_key(resource: Resource) -> str:
    """The store's key for objects of this kind, the same for all its versions."""
    return resource.group_resource


class Registry:
    """Served kinds by group, version and plural."""

    def __init__(self, builtin: Iterable[Resource]) -> None:
        self._builtin = {(item.group, item.version, item.plural): item for item in builtin}
        self._served = dict(self._builtin)
        self._custom: dict[str, list[Resource]] = {}
        self._stored: dict[tuple[str, str], str] = {}
        self._rules: dict[int, CelRules] = {}
        self.generation = 0
        """Grows with every change, so that documents made from the registry can be cached."""

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The kind served at this path."""
        return self._served.get((group, version, plural))

    def storage_version(self, group: str, plural: str) -> Resource | None:
        """The version in which objects of this group and plural are kept."""
        for item in self._served.values():
            if item.group == group and item.plural == plural and item.storage_version:
                return item
        return None

    def all(self) -> list[Resource]:
        """Every served kind and version."""
        return list(self._served.values())

    def stored(self) -> list[Resource]:
        """One version of each kind whose objects are kept."""
        return [item for item in self._served.values() if item.storage and item.storage_version]

    def groups(self) -> dict[str, list[str]]:
        """Versions of each group, the preferred one first, in the order of discovery."""
        groups: dict[str, list[str]] = {}
        for group, version, _ in self._served:
            versions = groups.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        for versions in groups.values():
            versions.sort(key=_version_order)
        return groups

    def rules(self, resource: Resource) -> CelRules | None:
        """Compiled x-kubernetes-validations of a custom kind."""
        if resource.schema is None or not resource.custom:
            return None
        rules = self._rules.get(id(resource))
        if rules is None:
            rules = self._rules[id(resource)] = CelRules(resource.schema)
        return rules

    def stored_version(self, resource: Resource) -> str:
        """The apiVersion in which objects of this kind are kept."""
        return self._stored.get((resource.group, resource.plural), resource.api_version)

    def load(self, definitions: Iterable[Mapping[str, Any]]) -> None:
        """Serve what these CustomResourceDefinitions define."""
        for definition in definitions:
            self.define(definition)

    def define(self, definition: Mapping[str, Any]) -> None:
        """Serve the versions of a CustomResourceDefinition, in place of those it had."""
        spec = definition["spec"]
        kept = next(version["name"] for version in spec["versions"] if version.get("storage"))
        self._stored[(spec["group"], spec["names"]["plural"])] = f"{spec['group']}/{kept}"
        self._serve(definition["metadata"]["name"], resources_of(dict(definition)))

    def withdraw(self, name: str) -> None:
        """Stop serving what the CustomResourceDefinition of this name defined."""
        self._serve(name, [])

    def _serve(self, name: str, versions: list[Resource]) -> None:
        for old in self._custom.pop(name, ()):
            self._served.pop((old.group, old.version, old.plural), None)
            self._rules.pop(id(old), None)
        if versions:
            self._custom[name] = versions
            for item in versions:
                self._served[(item.group, item.version, item.plural)] = item
        self.generation += 1

    def taken(self, group: str, plural: str) -> bool:
        """Whether a built-in kind has this name."""
        return any(key[0] == group and key[2] == plural for key in self._builtin)


def _version_order(version: str) -> tuple[int, int, int, str]:
    """Kubernetes' version priority: v2 before v1 before v1beta2 before v1alpha1 before anything else."""
    for rank, mark in ((2, "alpha"), (1, "beta")):
        head, separator, tail = version.partition(mark)
        if separator and head[1:].isdigit():
            return (rank, -int(head[1:]), -int(tail or 0), version)
    if version[1:].isdigit():
        return (0, -int(version[1:]), 0, version)
    return (3, 0, 0, version)
