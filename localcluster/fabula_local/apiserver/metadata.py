"""What the server alone decides about an object's metadata, and what it lets clients write there.

Rules: k8s.io/apimachinery/pkg/api/validation/objectmeta.go and k8s.io/apiserver/pkg/registry/rest.
"""

import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from fabula_local.apiserver.errors import ApiError, bad_request, conflict
from fabula_local.resource import Resource
from fabula_local.schema.structural import FieldError

Object = dict[str, Any]

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"^{_LABEL}(\.{_LABEL})*$")
_DNS_LABEL = re.compile(rf"^{_LABEL}$")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_PATH_NAMED = {"roles", "clusterroles", "rolebindings", "clusterrolebindings"}
_LABEL_NAMED = {"namespaces", "services"}
_ANNOTATIONS_LIMIT = 256 * 1024

_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS_LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_PART_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


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


def carry_over(resource: Resource, new: Object, old: Object) -> None:
    """Keep on an update what only the server may change, after checking identity and freshness."""
    before, after = old["metadata"], new["metadata"]
    if (uid := after.get("uid")) and uid != before["uid"]:
        raise conflict(
            resource,
            before["name"],
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}",
        )
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
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if message := _qualified_error(key.lower()):
            errors.append(_invalid("metadata.annotations", key, message))
    if sum(len(key.encode()) + len(str(value).encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        message = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        errors.append(FieldError("FieldValueTooLong", "metadata.annotations", message))
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                message = f'Invalid value: "": {"version" if key == "apiVersion" else key} must not be empty'
                field = f"metadata.ownerReferences[{index}].{key}"
                errors.append(FieldError("FieldValueInvalid", field, message))
    if sum(bool(owner.get("controller")) for owner in metadata.get("ownerReferences") or ()) > 1:
        message = "Invalid value: Only one reference can have Controller set to true"
        errors.append(FieldError("FieldValueInvalid", "metadata.ownerReferences", message))
    for finalizer in metadata.get("finalizers") or ():
        if message := _qualified_error(finalizer):
            errors.append(_invalid("metadata.finalizers", finalizer, message))
        elif _names_finalizers_strictly(resource) and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            errors.append(
                _invalid(
                    "metadata.finalizers",
                    finalizer,
                    "name is neither a standard finalizer name nor is it fully qualified",
                )
            )
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
        if message := _qualified_error(key):
            errors.append(_invalid(field, key, message))
        if not isinstance(value, str) or len(value) > 63:
            errors.append(_invalid(field, str(value), "must be no more than 63 characters"))
        elif not _LABEL_VALUE.match(value):
            errors.append(_invalid(field, value, _LABEL_VALUE_MESSAGE))
    return errors


def name_error(resource: Resource, name: str) -> str | None:
    """Why this cannot be an object's name, or None."""
    if resource.plural in _PATH_NAMED and resource.group == "rbac.authorization.k8s.io":
        if name in (".", ".."):
            return f"may not be '{name}'"
        return next((f"may not contain '{mark}'" for mark in "/%" if mark in name), None)
    if not resource.group and resource.plural in _LABEL_NAMED:
        if len(name) > 63:
            return "must be no more than 63 characters"
        return None if _DNS_LABEL.match(name) else _DNS_LABEL_MESSAGE
    if len(name) > 253:
        return "must be no more than 253 characters"
    return None if _SUBDOMAIN.match(name) else _SUBDOMAIN_MESSAGE


def _qualified_error(key: str) -> str | None:
    prefix, slash, name = key.rpartition("/")
    if slash and not (prefix and len(prefix) <= 253 and _SUBDOMAIN.match(prefix)):
        return f"prefix part {_SUBDOMAIN_MESSAGE}" if prefix else "prefix part must be non-empty"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return None if _QUALIFIED.match(name) else _NAME_PART_MESSAGE


def _invalid(field: str, value: str, why: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f'Invalid value: "{value}": {why}')


__all__ = [
    "ApiError",
    "begin",
    "carry_over",
    "check",
    "check_labels",
    "check_update",
    "place",
    "random_name",
    "timestamp",
]
