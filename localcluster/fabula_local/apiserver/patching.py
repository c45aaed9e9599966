"""PATCH in its four kinds, each ending in the same update or create as any other write."""

from typing import Any

import orjson

from fabula_local.apiserver import codec, metadata
from fabula_local.apiserver.call import Answer, Call
from fabula_local.apiserver.conversion import from_storage
from fabula_local.apiserver.errors import (
    ApiError,
    bad_request,
    conflict,
    invalid,
    invalid_patch,
    not_found,
    patch_fails,
    unsupported_media_type,
)
from fabula_local.apiserver.registry import storage_key
from fabula_local.apiserver.store import Stored
from fabula_local.apiserver.writing import Writer
from fabula_local.resource import Resource
from fabula_local.schema.apply import ApplyConflict, server_side_apply
from fabula_local.schema.errors import shown
from fabula_local.schema.merge import PatchError, json_patch, merge_patch, strategic_merge_patch
from fabula_local.schema.structural import nulls
from fabula_local.schema.typed import first_mistake

Object = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
KUBECTL = "kubectl"
"""Field manager of kubectl's server-side apply."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation of kubectl's client-side apply."""


def patch(writer: Writer, call: Call, resource: Resource, subresource: str = "") -> Answer:
    """Apply the patch in the body to the object that the URL names."""
    stored = writer.store.get(storage_key(resource), call.info.namespace, call.info.name)
    if call.content_type == APPLY_PATCH:
        return _apply(writer, call, resource, stored, subresource)
    if stored is None:
        raise not_found(resource, call.info.name)
    old = from_storage(resource, stored.copy())
    new = _patched(call, resource, old)
    if resource.custom:
        codec.check_custom_type(new, resource)
    codec.check_type(new, resource)
    check_name(call, new)
    patched = orjson.dumps(new)
    if unknown := writer.read_fields(call, resource, new):
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise invalid_patch(f"Invalid value: {shown(patched.decode())}: strict decoding error: {listed}")
    return writer.update(call, resource, stored, new, subresource)


def _patched(call: Call, resource: Resource, old: Object) -> Object:
    kinds = [JSON_PATCH, MERGE_PATCH] + ([] if resource.custom else [STRATEGIC_PATCH]) + [APPLY_PATCH]
    if call.content_type not in kinds:
        raise unsupported_media_type(", ".join(kinds))
    change = codec.decode(call.body, call.content_type)
    try:
        if call.content_type == JSON_PATCH:
            if not isinstance(change, list):
                raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
            return json_patch(old, change)
        if not isinstance(change, dict):
            go = "array" if isinstance(change, list) else "string" if isinstance(change, str) else "number"
            raise bad_request(
                f"error decoding patch: json: cannot unmarshal {go} into Go value of type map[string]interface {{}}"
            )
        if call.content_type == MERGE_PATCH:
            return merge_patch(old, change)
        return strategic_merge_patch(old, change, resource.schema or {})
    except ApiError:
        raise
    except PatchError as problem:
        if problem.malformed:
            raise bad_request(str(problem)) from problem
        raise patch_fails() from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise patch_fails() from problem


def check_name(call: Call, obj: Object) -> None:
    """400 where the object names another than the URL."""
    name = obj["metadata"].setdefault("name", call.info.name)
    if name != call.info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.info.name})")


def _apply(writer: Writer, call: Call, resource: Resource, stored: Stored | None, subresource: str) -> Answer:
    manager = call.query.get("fieldManager")
    if not manager:
        message = "Required value: is required for apply patch"
        cause = {"reason": "FieldValueRequired", "message": message, "field": "fieldManager"}
        details = {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [cause]}
        raise ApiError(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: {message}', details)
    applied = codec.decode(call.body, call.content_type)
    if not isinstance(applied, dict):
        raise bad_request("an applied configuration must be an object")
    _check_applied_type(applied)
    if resource.custom:
        _check_applied_fields(applied, resource)
    codec.check_type(applied, resource)
    check_name(call, applied)
    if applied["metadata"].pop("managedFields", None) is not None:
        raise bad_request("metadata.managedFields must be nil")
    metadata.place(resource, applied, call.info.namespace)
    if stored is None and subresource:
        raise not_found(resource, call.info.name)
    if stored is None and (uid := applied["metadata"].get("uid")):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(resource, call.info.name, why)
    if unknown := writer.read_fields(call, resource, applied):
        raise codec.strict_error(resource, unknown)
    applied = _own_part(applied, resource, subresource)
    live = from_storage(resource, stored.copy()) if stored else None
    if live and applied["metadata"].get("resourceVersion", stored_version(live)) != stored_version(live):
        raise conflict(resource, call.info.name)
    try:
        merged = server_side_apply(
            live,
            applied,
            manager=manager,
            force=call.flag("force"),
            schema=resource.schema or {},
            subresource=subresource,
            now=metadata.timestamp(),
        )
    except ApplyConflict as problem:
        raise _apply_conflict(problem) from problem
    if resource.custom and (empty := nulls(merged, resource.schema or {})):
        raise invalid(resource, call.info.name, empty)
    if stored is None or live is None:
        return writer.create(call, resource, call.info.namespace, merged, applied=True)
    if manager == KUBECTL and LAST_APPLIED in (live["metadata"].get("annotations") or ()):
        merged["metadata"].setdefault("annotations", {})[LAST_APPLIED] = last_applied(applied)
    return writer.update(call, resource, stored, merged, subresource, applied=True)


def last_applied(applied: Object) -> str:
    """What kubectl's client-side apply is to find as the last configuration: the one applied, as Go encodes it.

    The server keeps the annotation in step for objects that have it, so that people may go back from --server-side.
    """
    meta = dict(applied["metadata"])
    if LAST_APPLIED in (meta.get("annotations") or ()):
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != LAST_APPLIED}
    text = orjson.dumps({**applied, "metadata": meta}, option=orjson.OPT_SORT_KEYS).decode()
    for sign in "<>&":  # Go's encoder keeps JSON safe for HTML
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"{text}\n"


def _check_applied_type(applied: Object) -> None:
    """400 for a configuration that does not say what it is; other bodies may leave that to the URL."""
    version, kind = str(applied.get("apiVersion") or ""), str(applied.get("kind") or "")
    if not version or not kind:
        group, _, number = version.rpartition("/")
        raise bad_request(f"invalid object type: {group}/{number}, Kind={kind}")


def _check_applied_fields(applied: Object, resource: Resource) -> None:
    """500 for a configuration of a custom kind that its schema cannot type: nobody could own its fields."""
    object_type = f"{applied['apiVersion']}, Kind={applied['kind']}"
    if (applied["apiVersion"], applied["kind"]) != (resource.api_version, resource.kind):
        raise bad_request(f"invalid object type: {object_type}")
    if problem := first_mistake(applied, resource.schema):
        meta = applied.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        name = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}"
        raise ApiError(500, "", f"failed to create typed patch object ({name}; {object_type}): {problem}")


def _own_part(applied: Object, resource: Resource, subresource: str) -> Object:
    """The configuration without what this endpoint ignores, so that nobody comes to own that through it."""
    if subresource == "status":
        names = {key: value for key, value in applied["metadata"].items() if key in ("name", "namespace", "uid")}
        version = {key: applied["metadata"][key] for key in ("resourceVersion",) if key in applied["metadata"]}
        kept = {key: value for key, value in applied.items() if key in ("apiVersion", "kind", "status")}
        return {**kept, "metadata": {**names, **version}}
    if "status" in resource.subresources:
        return {key: value for key, value in applied.items() if key != "status"}
    return applied


def stored_version(obj: Object) -> str:
    """The object's resourceVersion."""
    version: str = obj["metadata"]["resourceVersion"]
    return version


def _apply_conflict(problem: ApplyConflict) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, (_, path) in zip(problem.managers, problem.conflicts, strict=True)
    ]
    return ApiError(409, "Conflict", str(problem), {"causes": causes})
