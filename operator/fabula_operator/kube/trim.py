"""What is kept of an object: what looks, reports and metrics ask of it. Ten thousand whole objects would fill a pod."""

from __future__ import annotations

from typing import Any

from fabula_operator.kube.resources import RUNS, Obj

_METADATA = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "labels",
    "ownerReferences",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def trimmed(obj: Obj) -> Obj:
    """The object without managed fields, without what kubectl keeps in it, and without what its pods are made of."""
    meta = obj["metadata"]
    kept: Obj = {"apiVersion": obj.get("apiVersion"), "kind": obj["kind"]}
    kept["metadata"] = {name: meta[name] for name in _METADATA if name in meta}
    if meta.get("annotations"):
        kept["metadata"]["annotations"] = {
            name: value for name, value in meta["annotations"].items() if name != _LAST_APPLIED
        }
    if obj["kind"] in RUNS:
        kept["spec"] = obj.get("spec") or {}
    elif obj["kind"] != "Pod":
        kept["spec"] = _without_templates(obj.get("spec"))
    kept["status"] = _of_pod(obj.get("status") or {}) if obj["kind"] == "Pod" else obj.get("status") or {}
    return kept


def _of_pod(status: Obj) -> Obj:
    """How a pod and its containers stand, without where they run and what they are made of."""
    kept: Obj = {name: status[name] for name in ("phase", "reason", "message", "conditions") if name in status}
    for name in ("containerStatuses", "initContainerStatuses"):
        if status.get(name):
            kept[name] = [
                {"name": container.get("name"), "state": container.get("state")} for container in status[name]
            ]
    return kept


def _without_templates(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_templates(item) for name, item in value.items() if name not in ("template", "selector")}
