"""CustomResourceDefinitions: what makes one valid, and the kinds it serves.

Rules: apiextensions-apiserver's validation of CustomResourceDefinition and of structural schemas.
"""

import re
from typing import Any

from fabula_local.resource import Resource

from . import errors
from .cel import CelRules
from .cel_soundness import compile_errors
from .errors import FieldError
from .json_path import JSONPathError, compile_path
from .merge import clone
from .scalar_checks import compile_pattern
from .structural import prune, validate

Object = dict[str, Any]

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    " an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def validate_crd(crd: Object) -> list[FieldError]:
    """What is wrong with a CustomResourceDefinition; empty when it may be created."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    faults: list[FieldError] = []
    group, plural = spec.get("group", ""), names.get("plural", "")
    if not group:
        faults.append(errors.required("spec.group"))
    elif not _SUBDOMAIN.fullmatch(group):
        faults.append(errors.invalid("spec.group", group, "should be a domain with at least one dot"))
    name = (crd.get("metadata") or {}).get("name", "")
    if name != f"{plural}.{group}":
        faults.append(errors.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        if spec.get("scope"):
            faults.append(errors.not_supported("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
        else:
            faults.append(errors.required("spec.scope"))
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field, "")
        if not value:
            if field in ("plural", "kind"):
                faults.append(errors.required(f"spec.names.{field}"))
        elif not _DNS_LABEL.fullmatch(value.lower() if "ind" in field else value):
            faults.append(errors.invalid(f"spec.names.{field}", value, _LABEL_MESSAGE))
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        message = "must have exactly one version marked as storage version"
        faults.append(errors.invalid("spec.versions", versions, message))
    seen: set[str] = set()
    for index, version in enumerate(versions):
        name = version.get("name", "")
        where = f"spec.versions[{index}].name"
        if name in seen:
            faults.append(errors.duplicate(where, name))
        seen.add(name)
        if not _DNS_LABEL.fullmatch(name):
            faults.append(errors.invalid(where, name, _LABEL_MESSAGE))
    for path, schema in _parts(versions, "schema", "spec.validation"):
        faults += _schema((schema or {}).get("openAPIV3Schema"), f"{path}.openAPIV3Schema")
    for path, columns in _parts(versions, "additionalPrinterColumns", "spec.additionalPrinterColumns"):
        for index, column in enumerate(columns or []):
            faults += _column(column, f"{path}[{index}]")
    for path, subresources in _parts(versions, "subresources", "spec.subresources"):
        faults += _scale((subresources or {}).get("scale"), f"{path}.scale")
    return faults


def _parts(versions: list[Object], key: str, shared: str) -> list[tuple[str, Any]]:
    """A part of each version with its path; what all versions share stands once, where the server itself keeps it."""
    parts = [version.get(key) for version in versions]
    if parts and parts[0] and all(part == parts[0] for part in parts):
        return [(shared, parts[0])]
    return [(f"spec.versions[{index}].{key}", part) for index, part in enumerate(parts)]


def _schema(schema: Object | None, path: str) -> list[FieldError]:
    if schema is None:
        return [errors.required(path)]
    faults: list[FieldError] = []
    if schema.get("type") != "object":
        faults.append(errors.invalid(f"{path}.type", schema.get("type", ""), "must be object at the root"))
    structural = _structural(schema, path)
    faults += structural
    if not structural:
        unusable = [FieldError(error.reason, f"{path}{error.field}", error.message) for error in compile_errors(schema)]
        faults += unusable or _defaults(schema, path)
    return faults


def _scale(scale: Object | None, path: str) -> list[FieldError]:
    return [
        errors.invalid(f"{path}.{field}", (scale or {}).get(field, ""), f"should be a json path under {start[:-1]}")
        for field, start in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status."))
        if scale is not None and not scale.get(field, "").startswith(start)
    ]


def _column(column: Object, path: str) -> list[FieldError]:
    fields = {"name": "name", "type": "type", "jsonPath": "JSONPath"}
    faults = [errors.required(f"{path}.{shown}") for field, shown in fields.items() if not column.get(field)]
    if column.get("type") and column["type"] not in _COLUMN_TYPES:
        faults.append(errors.not_supported(f"{path}.type", column["type"], list(_COLUMN_TYPES)))
    if text := column.get("jsonPath"):
        try:
            compile_path(text)
        except JSONPathError as problem:
            simple = text.startswith(".")
            detail = str(problem) if simple else "must be a simple json path starting with ."
            faults.append(errors.invalid(f"{path}.JSONPath", text, detail))
    return faults


def _structural(schema: Object, path: str, *, root: bool = True) -> list[FieldError]:
    faults: list[FieldError] = []
    kind = schema.get("type")
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not free:
        message = "must not be empty for specified object fields"
        faults.append(errors.required(f"{path}.type", message))
    elif kind and kind not in _TYPES:
        faults.append(errors.not_supported(f"{path}.type", kind, list(_TYPES)))
    if schema.get("properties") and schema.get("additionalProperties"):
        message = "must not be used together with additionalProperties"
        faults.append(errors.forbidden(f"{path}.properties", message))
    if kind == "array" and "items" not in schema:
        faults.append(errors.required(f"{path}.items", "must be specified"))
    if schema.get("uniqueItems"):
        faults.append(
            errors.forbidden(
                f"{path}.uniqueItems",
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            )
        )
    if pattern := schema.get("pattern"):
        try:
            compile_pattern(pattern)
        except re.error as problem:
            faults.append(
                errors.invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {problem}")
            )
    faults += _list_type(schema, path)
    for name, sub in (schema.get("properties") or {}).items():
        if not (root and name == "metadata"):
            faults += _structural(sub, f"{path}.properties[{name}]", root=False)
    for key in ("items", "additionalProperties"):
        if isinstance(sub := schema.get(key), dict):
            faults += _structural(sub, f"{path}.{key}", root=False)
    for key in ("allOf", "anyOf", "oneOf"):
        for index, sub in enumerate(schema.get(key) or []):
            faults += _junction(sub, f"{path}.{key}[{index}]", bool(free))
    if "not" in schema:
        faults += _junction(schema["not"], f"{path}.not", bool(free))
    return faults


def _defaults(schema: Object, path: str, *, root: bool = True) -> list[FieldError]:
    """Defaults that break the schema they stand in; looked at only where the schema itself is sound.

    As on a real server, those below additionalProperties are not looked at.
    """
    faults = []
    if "default" in schema:
        faults += _default(schema, path)
    for name, sub in (schema.get("properties") or {}).items():
        if not (root and name == "metadata"):
            faults += _defaults(sub, f"{path}.properties[{name}]", root=False)
    if isinstance(items := schema.get("items"), dict):
        faults += _defaults(items, f"{path}.items", root=False)
    return faults


def _default(schema: Object, path: str) -> list[FieldError]:
    value = schema["default"]
    if value is None:
        return [] if schema.get("nullable") else [errors.invalid(f"{path}.default", None, "must not be null")]
    whole = {"default": value}
    holder = {
        "type": "object",
        "properties": {"default": {key: part for key, part in schema.items() if key != "default"}},
    }
    faults = []
    if prune(clone(whole), holder):
        faults.append(errors.invalid(f"{path}.default", value, "must not have unknown fields"))
    # A default is checked as written: the defaults of fields below it are filled in only where it is used.
    wrong = validate(whole, holder) or CelRules(holder).check(whole, whole, ratchet=False)
    return faults + [FieldError(error.reason, f"{path}.{error.field}", _from_default(error)) for error in wrong]


def _from_default(error: FieldError) -> str:
    """The message with paths that begin below the default, not at it."""
    return error.message.replace(f"{error.field} in body", f"{error.field[len('default.') :]} in body", 1)


def _list_type(schema: Object, path: str) -> list[FieldError]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind is None:
        return []
    if kind not in ("atomic", "map", "set"):
        return [errors.not_supported(f"{path}.x-kubernetes-list-type", kind, ["atomic", "map", "set"])]
    if kind != "map":
        return []
    where = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        return [errors.required(where, "must not be empty if x-kubernetes-list-type is map")]
    items = schema.get("items", {})
    members, needed = items.get("properties", {}), items.get("required", [])
    faults = []
    for index, key in enumerate(keys):
        if key not in members:
            message = "entries must all be names of item properties"
            faults.append(errors.invalid(f"{where}[{index}]", key, message))
        elif key not in needed and "default" not in members[key]:
            message = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            faults.append(errors.required(f"{path}.items.properties[{key}].default", message))
    return faults


def _junction(schema: Object, path: str, free: bool) -> list[FieldError]:
    """Below allOf, anyOf, oneOf and not only checks may stand, not what shapes the object."""
    faults = []
    for key in ("description", "default", "additionalProperties", "nullable", "type"):
        if key in schema and not (key == "type" and free):
            message = f"must be {'empty' if key in ('description', 'type') else 'undefined'} to be structural"
            faults.append(errors.forbidden(f"{path}.{key}", message))
    for name, sub in (schema.get("properties") or {}).items():
        faults += _junction(sub, f"{path}.properties[{name}]", free)
    return faults


def resources_of(crd: Object) -> list[Resource]:
    """One kind for each served version, the storage version among them marked."""
    spec = crd["spec"]
    names = spec["names"]
    kind = names["kind"]
    resources = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = version.get("subresources") or {}
        scale = subresources.get("scale")
        selectable = [field["jsonPath"] for field in version.get("selectableFields") or []]
        resources.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                kind=kind,
                plural=names["plural"],
                singular=names.get("singular") or kind.lower(),
                list_kind=names.get("listKind") or f"{kind}List",
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                schema=version["schema"]["openAPIV3Schema"],
                subresources=frozenset(subresources),
                printer_columns=tuple(version.get("additionalPrinterColumns") or ()),
                storage_version=bool(version.get("storage")),
                custom=True,
                scale=dict(scale) if scale else None,
                extra={"selectableFields": selectable} if selectable else {},
            )
        )
    return resources
