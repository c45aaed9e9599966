"""One object in several versions: how it is kept, and how each version shows it.

Versions of a custom kind differ in apiVersion only (conversion strategy None). Events are kept as core/v1 and shown by
events.k8s.io/v1 under its own names.
"""

from typing import Any

from fabula_local.resource import Resource

Object = dict[str, Any]

_EVENT_NAMES = {
    "note": "message",
    "regarding": "involvedObject",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "reportingController": "reportingComponent",
}


def to_storage(resource: Resource, obj: Object, api_version: str) -> Object:
    """The object as it is kept, in the kind's stored apiVersion; may change `obj`."""
    if resource.group_resource == "events.events.k8s.io":
        return {**_renamed(obj, _EVENT_NAMES), "apiVersion": "v1"}
    obj["apiVersion"] = api_version
    return obj


def from_storage(resource: Resource, obj: Object) -> Object:
    """A kept object in the version of this resource; may change `obj`."""
    if obj.get("apiVersion") == resource.api_version:
        return obj
    if resource.group_resource == "events.events.k8s.io":
        obj = _renamed(obj, {core: event for event, core in _EVENT_NAMES.items()})
    obj["apiVersion"] = resource.api_version
    return obj


def _renamed(obj: Object, names: dict[str, str]) -> Object:
    return {names.get(key, key): value for key, value in obj.items()}
