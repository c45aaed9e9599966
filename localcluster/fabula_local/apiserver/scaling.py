"""The scale subresource: replicas, read and set without knowing the kind."""

from typing import Any

from fabula_local.apiserver.call import Answer, Call
from fabula_local.apiserver.conversion import from_storage
from fabula_local.apiserver.store import Stored
from fabula_local.apiserver.writing import Writer
from fabula_local.resource import Resource
from fabula_local.schema.printing import selector_text

Object = dict[str, Any]

_KEEP = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(resource: Resource, obj: Object) -> Object:
    """The autoscaling/v1 Scale of an object."""
    paths = resource.scale or {}
    status: Object = {"replicas": _get(obj, paths.get("statusReplicasPath", "")) or 0}
    replicas = _get(obj, paths.get("specReplicasPath", ""))
    selector = _get(obj, paths.get("labelSelectorPath", "") or ".spec.selector")
    if selector:
        status["selector"] = selector if isinstance(selector, str) else selector_text(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in _KEEP if key in obj["metadata"]},
        # As Go writes it, 0 is left out; a status always has its count.
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def set_scale(writer: Writer, call: Call, resource: Resource, stored: Stored, scale: Object) -> Answer:
    """Write the replicas of a Scale to its object."""
    obj = from_storage(resource, stored.copy())
    *parents, last = (resource.scale or {})["specReplicasPath"].strip(".").split(".")
    target = obj
    for part in parents:
        target = target.setdefault(part, {})
    target[last] = (scale.get("spec") or {}).get("replicas", 0)
    if version := (scale.get("metadata") or {}).get("resourceVersion"):
        obj["metadata"]["resourceVersion"] = version
    answer = writer.update(call, resource, stored, obj)
    return Answer(scale_of(resource, answer.obj))


def _get(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in filter(None, path.strip(".").split(".")):
        value = value.get(part) if isinstance(value, dict) else None
    return value
