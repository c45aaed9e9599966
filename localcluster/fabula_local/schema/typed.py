"""Whether an applied configuration fits the schema that field owners are kept by; the first mistake, if any.

Order and wording: sigs.k8s.io/structured-merge-diff (typed.AsTyped), whose values print as Go prints them.
"""

import json
from typing import Any

from .field_walk import root_schema

Schema = dict[str, Any]

_ALWAYS = frozenset(("apiVersion", "kind", "metadata"))


def first_mistake(applied: dict[str, Any], schema: Schema | None) -> str | None:
    """A field that the schema does not declare, or a value of another shape: ".spec.x: expected map, got &{1}"."""
    whole = root_schema(schema)
    for name in sorted(applied):
        if name not in whole.get("properties", {}) and name in _ALWAYS:
            continue
        if problem := _member(applied, name, whole, ""):
            return problem
    return None


def _member(value: dict[str, Any], name: str, schema: Schema, path: str) -> str | None:
    where = f"{path}.{name}"
    if (known := schema.get("properties", {}).get(name)) is not None:
        return _mistake(value[name], known, where)
    if isinstance(others := schema.get("additionalProperties"), dict):
        return _mistake(value[name], others, where)
    free = others or schema.get("x-kubernetes-preserve-unknown-fields") or "properties" not in schema
    return None if free else f"{where}: field not declared in schema"


def _mistake(value: Any, schema: Schema, path: str) -> str | None:
    kind = schema.get("type")
    if value is None or schema.get("x-kubernetes-int-or-string"):
        return None
    if kind == "object":
        if not isinstance(value, dict):
            return f"{path}: expected map, got &{{{_plain(value)}}}"
        mistakes = (_member(value, name, schema, path) for name in sorted(value))
        return next(filter(None, mistakes), None)
    if kind == "array":
        if not isinstance(value, list):
            return f"{path}: expected list, got &{{{_plain(value)}}}"
        return _identities(value, schema, path) or _items(value, schema, path)
    if kind == "string" and not isinstance(value, str):
        return f"{path}: expected string, got &value.valueUnstructured{{Value:{_go(value)}}}"
    if kind == "boolean" and not isinstance(value, bool):
        return f"{path}: expected boolean, got &{{{_plain(value)}}}"
    if kind in ("integer", "number") and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{path}: expected numeric (int or float), got {_type(value)}"
    return None


def _items(value: list[Any], schema: Schema, path: str) -> str | None:
    items = schema.get("items") or {}
    mistakes = (_mistake(item, items, f"{path}[{index}]") for index, item in enumerate(value))
    return next(filter(None, mistakes), None)


def _identities(value: list[Any], schema: Schema, path: str) -> str | None:
    """Two items of a set or map with one identity, or one without any."""
    kind, keys = schema.get("x-kubernetes-list-type"), sorted(schema.get("x-kubernetes-list-map-keys", ()))
    if kind not in ("set", "map"):
        return None
    members = (schema.get("items") or {}).get("properties", {})
    seen = set()
    for index, item in enumerate(value):
        identity = f"={json.dumps(item)}"
        if kind == "map":
            known = item if isinstance(item, dict) else {}
            key_values = {key: known.get(key, members.get(key, {}).get("default")) for key in keys}
            if all(part is None for part in key_values.values()):
                return (
                    f"{path}: element {index}: associative list with keys has an element that omits all key fields "
                    f"{json.dumps(keys)} (and doesn't have default values for any key fields)"
                )
            identity = ",".join(f"{key}={json.dumps(part)}" for key, part in key_values.items() if part is not None)
        if identity in seen:
            return f"{path}: duplicate entries for key [{identity}]"
        seen.add(identity)
    return None


def _plain(value: Any) -> str:
    """As Go's %v prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{_plain(member)}' for name, member in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_plain, value))}]"
    return str(value).lower() if isinstance(value, bool) else "<nil>" if value is None else str(value)


def _go(value: Any) -> str:
    """As Go's %#v prints it."""
    if isinstance(value, dict):
        members = ", ".join(f"{json.dumps(name)}:{_go(member)}" for name, member in sorted(value.items()))
        return f"map[string]interface {{}}{{{members}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go, value))}}}"
    return "interface {}(nil)" if value is None else json.dumps(value)


def _type(value: Any) -> str:
    """As Go's %T prints it."""
    names: dict[type, str] = {str: "string", bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
    return names[type(value)]
