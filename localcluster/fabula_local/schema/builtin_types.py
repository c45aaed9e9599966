"""Structural schemas of the built-in types, read from the generated ones (generated_types).

One dict for each type, shared wherever the type is used, so that what is compiled from it is compiled once.
"""

import re
from typing import Any

from . import builtin_rules as rules
from .decoding import DECODED_AS
from .generated_types import generated_type

Schema = dict[str, Any]

_QUANTITY: Schema = {"anyOf": [{"type": "number"}, {"type": "string"}], DECODED_AS: "quantity"}
_BYTES: Schema = {"type": "string", "format": "byte", DECODED_AS: "bytes"}
_MICRO_TIME: Schema = {"type": "string", "format": "date-time", DECODED_AS: "micro-time"}
_SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "float": {"type": "number", "format": "double"},
    "meta_v1.Time": {"type": "string", "format": "date-time"},
    "meta_v1.MicroTime": _MICRO_TIME,
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": _MICRO_TIME,
    "resource.Quantity": _QUANTITY,
    "util_intstr.IntOrString": {"x-kubernetes-int-or-string": True},
    "IntOrString": {"x-kubernetes-int-or-string": True},
}
_OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_PARAMETER = re.compile(r"^\s*\* \*\*(\w+)\*\* ``[^`]*``(?: - )?(.*)$")
_GROUPS = {
    "meta_v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "apiextensions_v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
}

_types: dict[tuple[str, str], Schema] = {}
_names: dict[int, str] = {}


def type_schema(module: str, name: str) -> Schema:
    """The schema of one type, for example type_schema("batch_v1", "JobSpec")."""
    known = _types.get((module, name))
    if known is None:
        known = _types[module, name] = {}
        _names[id(known)] = component_name(module, name)
        known.update(_read(module, name))
    return known


def type_name(schema: Schema) -> str | None:
    """The component name of a schema that is a built-in type, for example "io.k8s.api.core.v1.PodSpec"."""
    return _names.get(id(schema))


def component_name(module: str, name: str) -> str:
    """The name of a type in OpenAPI documents."""
    group, _, version = module.rpartition("_")
    return f"{_GROUPS.get(module, f'io.k8s.api.{group}.{version}')}.{name}"


def _read(module: str, name: str) -> Schema:
    generated = generated_type(module, name)
    if generated is None:  # such as CustomResourceSubresourceStatus = Dict
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    summary, texts = _documentation(generated.words)
    schema: Schema = {"description": summary, "type": "object"}
    if name in rules.ATOMIC_TYPES:
        schema["x-kubernetes-map-type"] = "atomic"
    properties: dict[str, Schema] = {}
    required = []
    for member in generated.members:
        text = texts.get(member.attribute, texts.get(member.name, ""))
        properties[member.name] = _field(module, name, member.name, member.annotation, text)
        if not member.optional:
            required.append(member.name)
    schema["properties"] = properties
    checked = not name.endswith(rules.UNCHECKED_REQUIRED) and name not in rules.UNCHECKED_REQUIRED_TYPES
    if required and checked:
        schema["required"] = required
    return schema


def _field(module: str, owner: str, field: str, annotation: str, text: str) -> Schema:
    where = f"{owner}.{field}"
    inner = annotation.removeprefix("Optional[").removesuffix("]") if annotation.startswith("Optional") else annotation
    if inner.startswith("List["):
        item = inner.removeprefix("List[").removesuffix("]")
        schema: Schema = {"type": "array", "items": _single(module, where, field, item)}
        _list_rules(schema, owner, field)
    else:
        schema = _single(module, where, field, inner)
    extra: Schema = {"description": text} if text else {}
    if where in rules.DEFAULTS:
        extra["default"] = rules.DEFAULTS[where]
    if where in rules.ENUMS:
        extra["enum"] = rules.ENUMS[where]
    if where in rules.RETAIN_KEYS and "x-kubernetes-patch-strategy" not in schema:
        extra["x-kubernetes-patch-strategy"] = "retainKeys"
    if where in rules.ATOMIC_MAPS:
        extra["x-kubernetes-map-type"] = "atomic"
    if not extra:
        return schema
    if (name := type_name(schema)) is None:
        return {**schema, **extra}
    # A field of a named type with words of its own: the same members, so that what is compiled from them is shared.
    described = {**schema, **extra}
    _names[id(described)] = name
    _kept.append(described)
    return described


_kept: list[Schema] = []


def _list_rules(schema: Schema, owner: str, field: str) -> None:
    where = f"{owner}.{field}"
    keys = rules.LIST_KEYS.get(where)
    if field == "conditions" and "type" in schema["items"].get("properties", {}):
        keys = ("type",)
    if keys:
        schema["x-kubernetes-list-type"] = "atomic" if owner in rules.ATOMIC_CONDITIONS else "map"
        if schema["x-kubernetes-list-type"] == "map":
            schema["x-kubernetes-list-map-keys"] = list(keys)
        schema["x-kubernetes-patch-strategy"] = "merge,retainKeys" if where in rules.RETAIN_KEYS else "merge"
        schema["x-kubernetes-patch-merge-key"] = keys[0]
    elif where in rules.SETS:
        schema["x-kubernetes-list-type"] = "set"
        schema["x-kubernetes-patch-strategy"] = "merge"
    else:
        schema["x-kubernetes-list-type"] = "atomic"


def _single(module: str, where: str, field: str, annotation: str) -> Schema:
    if annotation == "int":
        return {"type": "integer", "format": "int64" if field in rules.INT64 else "int32"}
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if annotation == "dict":
        if where in rules.OPEN_MAPS:
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        value: Schema = {"type": "string"}
        if field in rules.QUANTITY_MAPS:
            value = dict(_QUANTITY)
        elif where in rules.BYTE_MAPS:
            value = dict(_BYTES)
        return {"type": "object", "additionalProperties": value}
    other, _, name = annotation.rpartition(".")
    if name == "RawExtension":
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    if name.startswith("JSON"):
        return dict(_OPEN)
    return type_schema(other or module, name)


def _documentation(text: str) -> tuple[str, dict[str, str]]:
    head, _, tail = text.partition("**parameters**")
    fields: dict[str, list[str]] = {}
    current: list[str] = []
    for line in tail.splitlines():
        if parameter := _PARAMETER.match(line):
            current = fields[parameter[1]] = [parameter[2]]
        else:
            current.append(line.strip())
    joined = {name: "\n".join(lines).strip().replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
              for name, lines in fields.items()}  # fmt: skip
    paragraphs = [" ".join(part.split()) for part in head.split("\n\n")]
    return "\n\n".join(part for part in paragraphs if part), joined
