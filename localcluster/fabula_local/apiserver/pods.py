"""What only pods have: binding to a node."""

from typing import Any

from fabula_local.apiserver.call import Answer, Call
from fabula_local.apiserver.errors import bad_request, conflict
from fabula_local.apiserver.metadata import timestamp
from fabula_local.apiserver.store import Stored
from fabula_local.apiserver.writing import Writer
from fabula_local.resource import Resource

Object = dict[str, Any]

_CREATED: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(writer: Writer, call: Call, resource: Resource, stored: Stored, binding: Object) -> Answer:
    """Assign the pod to the node in the binding; a bound or deleted pod is refused with 409."""
    if (binding.get("metadata") or {}).get("name") != stored.name:
        raise bad_request("name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    node = target.get("name")
    if target.get("kind") not in (None, "", "Node"):
        raise bad_request(f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"')
    if not node:
        raise bad_request("target.name: Required value")
    pod = stored.copy()
    name, meta = stored.name, pod["metadata"]
    if (uid := (binding.get("metadata") or {}).get("uid")) and uid != meta["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta['uid']}"
        raise conflict(resource, name, why, "pods/binding")
    if meta.get("deletionTimestamp"):
        raise conflict(resource, name, f"pod {name} is being deleted, cannot be assigned to a host", "pods/binding")
    if current := pod["spec"].get("nodeName"):
        raise conflict(resource, name, f'pod {name} is already assigned to node "{current}"', "pods/binding")
    if pod["spec"].get("schedulingGates"):
        raise conflict(resource, name, f"pod {name} has non-empty .spec.schedulingGates", "pods/binding")
    pod["spec"]["nodeName"] = node
    meta["annotations"] = {**(meta.get("annotations") or {}), **(binding["metadata"].get("annotations") or {})}
    if not meta["annotations"]:
        del meta["annotations"]
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [item for item in conditions if item.get("type") != "PodScheduled"]
    conditions.append(
        {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": timestamp()}
    )
    writer.save(call, resource, pod)
    return Answer(dict(_CREATED), 201)
