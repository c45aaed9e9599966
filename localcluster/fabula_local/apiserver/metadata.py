"""What the server alone decides about an object's metadata, and what it lets clients write there.

Rules: k8s.io/apimachinery/pkg/api/validation/objectmeta.go and k8s.io/apiserver/pkg/registry/rest.
"""

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from fabula_local.apiserver.errors import ApiError, bad_request, conflict, invalid
from fabula_local.apiserver.names import dns_label_error, label_value_error, qualified_error, subdomain_error
from fabula_local.resource import Resource
from fabula_local.schema.errors import FieldError, too_long

Object = dict[str, Any]

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_PATH_NAMED = {"roles", "clusterroles", "rolebindings", "clusterrolebindings"}
_LABEL_NAMED = {"namespaces", "services"}
_ANNOTATIONS_LIMIT = 256 * 1024


def timestamp(moment: datetime | None = None) -> str:
    """A metav1.Time: RFC 3339 in UTC, whole seconds."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_name(prefix: str) -> str:
    """A name for generateName: the prefix, cut so that the result fits a label, and five random characters."""
    return prefix[:58] + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))


def place(resource: Resource, obj: Object, namespace: str) -> None:
    """Set the namespace of the URL on the object; 400 where the object names another."""
    metadata = obj["metadata"]
    given = metadata.get("namespace") or ""
    if not resource.namespaced:
        metadata.pop("namespace", None)
    elif given and given != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    else:
        metadata["namespace"] = namespace


def begin(obj: Object) -> None:
    """Give a new object its identity, and drop what only the server may set."""
    metadata = obj["metadata"]
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"):
        metadata.pop(key, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp()
    metadata.pop("managedFields", None)


def check_uid(resource: Resource, new: Object, old: Object, *, replaced: bool) -> None:
    """Refuse another uid: a replacement is meant for another object (409), a patch changes what is fixed (422)."""
    before, uid = old["metadata"], new["metadata"].get("uid")
    if not uid or uid == before["uid"]:
        return
    if not replaced:
        fixed = _invalid("metadata.uid", uid, "field is immutable")
        raise invalid(resource, before["name"], [fixed, fixed])
    group = f"{resource.group}/" if resource.custom else ""
    key = "/".join(part for part in (before.get("namespace"), before["name"]) if part)
    raise conflict(
        resource,
        before["name"],
        f"StorageError: invalid object, Code: 4, Key: /registry/{group}{resource.plural}/{key}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}",
    )


def carry_over(resource: Resource, new: Object, old: Object) -> None:
    """Keep on an update what only the server may change, after checking freshness."""
    before, after = old["metadata"], new["metadata"]
    if (version := after.get("resourceVersion")) and version != before["resourceVersion"]:
        raise conflict(resource, before["name"])
    for key in (
        *("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"),
        *("generateName", "resourceVersion"),
    ):
        if key in before:
            after[key] = before[key]
        else:
            after.pop(key, None)
    after.pop("selfLink", None)


def check(resource: Resource, obj: Object) -> list[FieldError]:
    """Errors in the metadata that a client wrote."""
    metadata = obj["metadata"]
    errors: list[FieldError] = []
    if message := name_error(resource, metadata.get("name", "")):
        errors.append(_invalid("metadata.name", metadata["name"], message))
    errors += check_labels(metadata.get("labels"), "metadata.labels")
    errors += check_annotations(metadata.get("annotations"), "metadata.annotations")
    for owner in metadata.get("ownerReferences") or ():
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                message = "version must not be empty" if key == "apiVersion" else "must not be empty"
                errors.append(_invalid(f"metadata.ownerReferences.{key}", "", message))
    if sum(bool(owner.get("controller")) for owner in metadata.get("ownerReferences") or ()) > 1:
        message = "Invalid value: Only one reference can have Controller set to true"
        errors.append(FieldError("FieldValueInvalid", "metadata.ownerReferences", message))
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        if message := qualified_error(finalizer):
            errors.append(_invalid("metadata.finalizers", finalizer, message))
        elif _names_finalizers_strictly(resource) and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            message = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(_invalid(f"metadata.finalizers[{index}]", finalizer, message))
    return errors


def _names_finalizers_strictly(resource: Resource) -> bool:
    return not resource.custom and resource.group != "apiextensions.k8s.io"


_STANDARD_FINALIZERS = {"kubernetes", "orphan", "foregroundDeletion"}


def check_update(new: Object, old: Object) -> list[FieldError]:
    """Errors in a change of metadata: no finalizer may be added once deletion has begun."""
    if not old["metadata"].get("deletionTimestamp"):
        return []
    added = sorted(set(new["metadata"].get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ()))
    if not added:
        return []
    listed = ", ".join(f'"{name}"' for name in added)
    message = (
        "Forbidden: no new finalizers can be added if the object is being deleted, "
        f"found new finalizers []string{{{listed}}}"
    )
    return [FieldError("FieldValueForbidden", "metadata.finalizers", message)]


def check_labels(labels: Object | None, field: str) -> list[FieldError]:
    """Errors in a map of labels."""
    errors = []
    for key, value in (labels or {}).items():
        if message := qualified_error(key):
            errors.append(_invalid(field, key, message))
        if message := label_value_error(str(value)):
            errors.append(_invalid(field, str(value), message))
    return errors


def check_annotations(annotations: Object | None, field: str) -> list[FieldError]:
    """Errors in a map of annotations."""
    every = annotations or {}
    errors = [_invalid(field, key, message) for key in every if (message := qualified_error(key.lower()))]
    if sum(len(key.encode()) + len(str(value).encode()) for key, value in every.items()) > _ANNOTATIONS_LIMIT:
        errors.append(too_long(field, _ANNOTATIONS_LIMIT))
    return errors


def name_error(resource: Resource, name: str) -> str | None:
    """Why this cannot be an object's name, or None."""
    if resource.plural in _PATH_NAMED and resource.group == "rbac.authorization.k8s.io":
        if name in (".", ".."):
            return f"may not be '{name}'"
        return next((f"may not contain '{mark}'" for mark in "/%" if mark in name), None)
    if not resource.group and resource.plural in _LABEL_NAMED:
        return dns_label_error(name)
    return subdomain_error(name)


def _invalid(field: str, value: str, why: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f'Invalid value: "{value}": {why}')


__all__ = [
    "ApiError",
    "begin",
    "carry_over",
    "check",
    "check_annotations",
    "check_labels",
    "check_uid",
    "check_update",
    "place",
    "random_name",
    "timestamp",
]
