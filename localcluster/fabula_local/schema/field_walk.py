"""Walks of objects by schema that give or use field sets: what an object holds, what changed, merge and removal.

Semantics: sigs.k8s.io/structured-merge-diff (typed.ToFieldSet, Compare, Merge and RemoveItems).
"""

import json
from collections.abc import Iterable
from typing import Any

from .builtin_types import type_schema
from .field_set import FieldSet, children, is_member, make_node
from .identity_cache import IdentityCache
from .merge import clone

Schema = dict[str, Any]
Object = dict[str, Any]

_FREE: Schema = {}


def root_schema(schema: Schema | None) -> Schema:
    """The schema with the type of metadata filled in where a custom kind leaves it open."""
    if not schema:
        schema = _FREE
    return _roots.get(schema, _with_metadata)


_roots: IdentityCache[Schema] = IdentityCache()


def _with_metadata(schema: Schema) -> Schema:
    properties = schema.get("properties", {})
    if "properties" in properties.get("metadata", {}):
        return schema
    return {**schema, "properties": {**properties, "metadata": type_schema("meta_v1", "ObjectMeta")}}


def _child(schema: Schema, name: str) -> tuple[Schema, bool]:
    """The schema of a member, and whether the schema names it as a field of its own (not an entry of a map)."""
    properties = schema.get("properties")
    if properties is not None and name in properties:
        return properties[name], True
    others = schema.get("additionalProperties")
    return (others if isinstance(others, dict) else _FREE), False


def _atomic_map(schema: Schema) -> bool:
    return schema.get("x-kubernetes-map-type") == "atomic"


def _list_kind(schema: Schema) -> str:
    return str(schema.get("x-kubernetes-list-type", "atomic"))


def keyed_items(items: Iterable[Any], schema: Schema, kind: str) -> dict[str, Any] | None:
    """Items by path element; None where an item has no identity."""
    if kind == "set":
        return {f"v:{json.dumps(item, separators=(',', ':'), sort_keys=True)}": item for item in items}
    names = sorted(schema.get("x-kubernetes-list-map-keys", ()))
    members = schema.get("items", _FREE).get("properties", _FREE)
    result = {}
    for item in items:
        if not isinstance(item, dict):
            return None
        identity = {}
        for name in names:
            value = item.get(name)
            if value is None:
                value = members.get(name, _FREE).get("default")
            if value is not None:
                identity[name] = value
        result[f"k:{json.dumps(identity, separators=(',', ':'))}"] = item
    return result


def field_set(value: Any, schema: Schema) -> FieldSet:
    """What an applied value claims; {} for a leaf."""
    if isinstance(value, dict):
        if _atomic_map(schema):
            return {}
        result: FieldSet = {}
        for name, part in value.items():
            sub, named = _child(schema, name)
            below = field_set(part, sub)
            if isinstance(part, list) and not below and not part and _list_kind(sub) != "atomic":
                continue
            node = make_node(below, member=not below or not named)
            result[f"f:{name}"] = {} if node is None else node
        return result
    if isinstance(value, list) and (kind := _list_kind(schema)) != "atomic":
        keyed = keyed_items(value, schema, kind)
        if keyed is None:
            return {}
        items = schema.get("items", _FREE)
        return {key: make_node(field_set(item, items), member=True) or {} for key, item in keyed.items()}
    return {}


def with_named_members(fields: FieldSet, schema: Schema) -> FieldSet:
    """The set, and each field that the schema names and that has paths below it: who owns those may take it away."""
    result: FieldSet = {}
    for key, node in children(fields):
        kind, _, name = key.partition(":")
        sub, named = _child(schema, name) if kind == "f" else (schema.get("items", _FREE), False)
        below = with_named_members(node, sub)
        result[key] = make_node(below, member=is_member(node) or named) or {}
    return result


def _whole(value: Any, schema: Schema) -> FieldSet:
    """Every path of a value that came or went as one: its leaves and all that holds them."""
    below: FieldSet = {}
    if isinstance(value, dict) and not _atomic_map(schema):
        below = {f"f:{name}": _whole(part, _child(schema, name)[0]) for name, part in value.items()}
    elif isinstance(value, list) and (kind := _list_kind(schema)) != "atomic":
        items = schema.get("items", _FREE)
        below = {key: _whole(item, items) for key, item in (keyed_items(value, schema, kind) or {}).items()}
    return {".": {}, **below} if below else {}


def compare(old: Any, new: Any, schema: Schema) -> tuple[FieldSet, FieldSet]:
    """(paths added or modified, paths removed) between two values; of equal values both are empty."""
    changed: FieldSet = {}
    removed: FieldSet = {}
    before, after = _members(old, schema), _members(new, schema)
    if before is None or after is None:
        return changed, removed
    for key, (part, sub) in after.items():
        if key not in before:
            changed[key] = _whole(part, sub)
            continue
        was = before[key][0]
        if was is part or (was == part and type(was) is type(part)):
            continue
        if _members(was, sub) and _members(part, sub):
            more, less = compare(was, part, sub)
            if more:
                changed[key] = more
            if less:
                removed[key] = less
        else:
            changed[key] = _whole(part, sub)
            if gone := dict(children(_whole(was, sub))):
                removed[key] = gone
    for key, (part, sub) in before.items():
        if key not in after:
            removed[key] = _whole(part, sub)
    return changed, removed


def _members(value: Any, schema: Schema) -> dict[str, tuple[Any, Schema]] | None:
    """The parts of a value that are owned one by one; None of a leaf."""
    if isinstance(value, dict):
        if _atomic_map(schema):
            return None
        return {f"f:{name}": (part, _child(schema, name)[0]) for name, part in value.items()}
    if isinstance(value, list) and (kind := _list_kind(schema)) != "atomic":
        keyed = keyed_items(value, schema, kind)
        items = schema.get("items", _FREE)
        return None if keyed is None else {key: (item, items) for key, item in keyed.items()}
    return None


def merge(live: Any, applied: Any, schema: Schema) -> Any:
    """The live value with the applied one laid over it; lists that are maps or sets merge by item."""
    if isinstance(live, dict) and isinstance(applied, dict) and not _atomic_map(schema):
        result = dict(live)
        for name, part in applied.items():
            result[name] = merge(live[name], part, _child(schema, name)[0]) if name in live else clone(part)
        return result
    if isinstance(live, list) and isinstance(applied, list) and (kind := _list_kind(schema)) != "atomic":
        before, after = keyed_items(live, schema, kind), keyed_items(applied, schema, kind)
        if before is not None and after is not None:
            return _merge_lists(before, after, schema)
    return clone(applied)


def _merge_lists(before: dict[str, Any], after: dict[str, Any], schema: Schema) -> list[Any]:
    items = schema.get("items", _FREE)
    waiting = list(before)
    result = []
    for key, item in after.items():
        if key not in before:
            result.append(clone(item))
            continue
        while key in waiting:
            first = waiting.pop(0)
            if first == key:
                break
            if first not in after:
                result.append(before[first])
        result.append(merge(before[key], item, items))
    return [*result, *(before[key] for key in waiting if key not in after)]


def remove(value: Any, gone: FieldSet, schema: Schema) -> Any:
    """The value without the paths; what loses all that it holds, but is not itself among them, is None."""
    if isinstance(value, dict) and not _atomic_map(schema):
        result: Object = {}
        for name, part in value.items():
            node = gone.get(f"f:{name}")
            if node is None:
                result[name] = part
            elif not is_member(node):
                result[name] = remove(part, node, _child(schema, name)[0])
        return result or None
    if isinstance(value, list) and (kind := _list_kind(schema)) != "atomic":
        keyed = keyed_items(value, schema, kind)
        if keyed is None:
            return value
        items = schema.get("items", _FREE)
        kept = []
        for key, part in keyed.items():
            node = gone.get(key)
            if node is None:
                kept.append(part)
            elif not is_member(node):
                kept.append(remove(part, node, items))
        return kept or None
    return value
