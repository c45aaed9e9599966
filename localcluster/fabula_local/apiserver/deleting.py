"""Deleting objects: preconditions, grace periods, finalizers and what becomes of dependents.

Rules: k8s.io/apiserver/pkg/registry/rest/delete.go and generic/registry/store.go. Dependents themselves are the garbage
controller's business; here an object only gets the finalizer that makes it wait.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from fabula_local.apiserver.call import Answer, Call
from fabula_local.apiserver.conversion import from_storage
from fabula_local.apiserver.errors import conflict, invalid_options
from fabula_local.apiserver.metadata import timestamp
from fabula_local.apiserver.registry import storage_key
from fabula_local.apiserver.store import Stored
from fabula_local.apiserver.strategies import strategy_of
from fabula_local.apiserver.writing import Writer, present, released
from fabula_local.resource import Resource
from fabula_local.schema.errors import invalid, not_supported

Object = dict[str, Any]

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_POLICIES = ("Foreground", "Background", "Orphan")
_RETURNED = {"pods", "services", "serviceaccounts", "persistentvolumeclaims"}


def delete(writer: Writer, call: Call, resource: Resource, stored: Stored, options: Object) -> Answer:
    """Delete at once, or mark the object and let its finalizers and its node finish first."""
    obj = from_storage(resource, stored.copy())
    _check_preconditions(resource, obj, options)
    meta = obj["metadata"]
    marked = bool(meta.get("deletionTimestamp"))
    changed = _set_policy_finalizers(call, resource, obj, options)
    grace = _grace_period(resource, obj, options)
    if not marked or grace < (meta.get("deletionGracePeriodSeconds") or 0):
        started = datetime.now(UTC) if not marked else _first_marked(meta)
        meta["deletionTimestamp"] = timestamp(started + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
        changed = True
        if not marked:
            if strategy_of(resource).counts_generation:
                meta["generation"] = meta.get("generation", 0) + 1
            if obj["kind"] == "Namespace":
                obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    gone = released(obj)
    if not gone:
        if not changed:
            return present(resource, stored)
        return writer.save(call, resource, obj)
    last = obj if call.dry_run(options) else _remove(writer, resource, stored, obj)
    if not resource.group and resource.plural in _RETURNED:
        return Answer(last)
    return Answer(_success(resource, last))


def _remove(writer: Writer, resource: Resource, stored: Stored, obj: Object) -> Object:
    # Kubernetes' DELETED event carries the state before the request, unless the object had to wait.
    last = obj if stored.obj["metadata"].get("deletionTimestamp") else stored.copy()
    kind = storage_key(resource)
    last["apiVersion"] = stored.obj["apiVersion"]
    return from_storage(resource, writer.store.delete(kind, last).copy())


def _success(resource: Resource, obj: Object) -> Object:
    details = {
        "name": obj["metadata"]["name"],
        "group": resource.group,
        "kind": resource.plural,
        "uid": obj["metadata"]["uid"],
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def _check_preconditions(resource: Resource, obj: Object, options: Object) -> None:
    wanted, meta = options.get("preconditions") or {}, obj["metadata"]
    # Kubernetes names the kind here, not the resource.
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    if (uid := wanted.get("uid")) and uid != meta["uid"]:
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource, meta["name"], why, kind)
    if (version := wanted.get("resourceVersion")) and version != meta["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
            f"({meta['resourceVersion']}). The object might have been modified"
        )
        raise conflict(resource, meta["name"], why, kind)


def _set_policy_finalizers(call: Call, resource: Resource, obj: Object, options: Object) -> bool:
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if policy and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        raise invalid_options("DeleteOptions", invalid("propagationPolicy", policy, why))
    if policy and policy not in _POLICIES:
        raise invalid_options("DeleteOptions", not_supported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    meta = obj["metadata"]
    before = list(meta.get("finalizers") or ())
    if not policy and orphan is None and resource.group_resource == "jobs.batch":
        # The batch API orphans by default, unlike every other kind; kubectl always says what it wants.
        call.warnings.append(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
            "them or set propagationPolicy=Orphan to suppress this warning"
        )
        if _FOREGROUND not in before:
            policy = "Orphan"
    if policy is None and orphan is not None:
        policy = "Orphan" if orphan else "Background"
    if policy is None:
        return False
    finalizers = [name for name in before if name not in (_ORPHAN, _FOREGROUND)]
    if policy == "Orphan":
        finalizers.append(_ORPHAN)
    elif policy == "Foreground":
        finalizers.append(_FOREGROUND)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    return finalizers != before


def _grace_period(resource: Resource, obj: Object, options: Object) -> int:
    """Seconds that the object's node gets; only pods that run somewhere have any."""
    if resource.group or resource.plural != "pods":
        return 0
    spec = obj.get("spec") or {}
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    asked = options.get("gracePeriodSeconds")
    if asked is None:
        asked = spec.get("terminationGracePeriodSeconds", 30)
    return max(int(asked), 0) if asked >= 0 else 1


def _first_marked(meta: Object) -> datetime:
    until = datetime.strptime(meta["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return until - timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
