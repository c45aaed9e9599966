"""One object in several versions: how it is kept, and how each version shows it.

Versions of a custom kind differ in apiVersion only (conversion strategy None); a built-in kind has one.
"""

from typing import Any

from fabula_local.resource import Resource

Object = dict[str, Any]


def to_storage(obj: Object, api_version: str) -> Object:
    """The object as it is kept, in the kind's stored apiVersion; changes `obj`."""
    obj["apiVersion"] = api_version
    return obj


def from_storage(resource: Resource, obj: Object) -> Object:
    """A kept object in the version of this resource; changes `obj`."""
    obj["apiVersion"] = resource.api_version
    return obj
