"""Defaulting, pruning and validation of objects by a structural schema (openAPIV3Schema with x-kubernetes-*).

A schema is compiled on first use and kept for as long as it is; treat a schema as frozen once it was used here.
"""

import copy
from collections.abc import Callable
from typing import Any

from .errors import FieldError
from .identity_cache import IdentityCache
from .scalar_checks import Check, Schema
from .validation import compile_schema

__all__ = ["FieldError", "apply_defaults", "nulls", "prune", "validate"]

Object = dict[str, Any]
Walk = Callable[[Any], None]
PruneWalk = Callable[[Any, str, list[str]], None]

_META_FIELDS = frozenset(
    (
        *("name", "generateName", "namespace", "uid", "labels", "annotations", "finalizers", "ownerReferences"),
        *("resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
        *("managedFields", "selfLink"),
    )
)
_ROOT_FIELDS = frozenset(("apiVersion", "kind", "metadata"))

_checks: IdentityCache[Check] = IdentityCache()
_defaults: IdentityCache[Walk | None] = IdentityCache()
_prunes: IdentityCache[PruneWalk | None] = IdentityCache()
_root_prunes: IdentityCache[PruneWalk | None] = IdentityCache()


def validate(obj: Object, schema: Schema) -> list[FieldError]:
    """What is wrong with the object, in the words of Kubernetes; empty when it is valid."""
    faults: list[FieldError] = []
    _checks.get(schema, compile_schema)(obj, "", faults)
    return faults


def nulls(obj: Object, schema: Schema) -> list[FieldError]:
    """Nulls where none is allowed. Defaulting drops those that a client sends; what an apply leaves is an error."""
    return [error for error in validate(obj, schema) if error.message.startswith('Invalid value: "null"')]


def apply_defaults(obj: Object, schema: Schema) -> None:
    """Fill in defaults in place. A null where none is allowed is dropped first, so that its default applies."""
    if fill := _defaulter(schema):
        fill(obj)


def prune(obj: Object, schema: Schema) -> list[str]:
    """Remove in place what the schema does not name; returns the removed paths, for example "spec.foo"."""
    removed: list[str] = []
    if cut := _root_prunes.get(schema, _compile_root_prune):
        cut(obj, "", removed)
    return removed


def _defaulter(schema: Schema) -> Walk | None:
    return _defaults.get(schema, _compile_defaults)


def _compile_defaults(schema: Schema) -> Walk | None:
    properties: dict[str, Schema] = schema.get("properties", {})
    defaults = [(name, sub["default"]) for name, sub in properties.items() if "default" in sub]
    no_null = frozenset(name for name, sub in properties.items() if not sub.get("nullable"))
    inner = {name: fill for name, sub in properties.items() if (fill := _defaulter(sub))}
    others = schema.get("additionalProperties")
    other = _defaulter(others) if isinstance(others, dict) else None
    items = schema.get("items")
    item = _defaulter(items) if isinstance(items, dict) else None
    others_no_null = isinstance(others, dict) and not others.get("nullable")
    if item:
        each = item

        def walk_list(value: Any) -> None:
            if isinstance(value, list):
                for element in value:
                    each(element)

        return walk_list
    if not (properties or isinstance(others, dict)):
        return None

    def walk(value: Any) -> None:
        if not isinstance(value, dict):
            return
        if None in value.values():
            for name in [
                n for n, v in value.items() if v is None and (n in no_null or (others_no_null and n not in properties))
            ]:
                del value[name]
        for name, default in defaults:
            if name not in value:
                value[name] = copy.deepcopy(default) if isinstance(default, dict | list) else default
        for name, deeper in inner.items():
            if name in value:
                deeper(value[name])
        if other:
            for name, member in value.items():
                if name not in properties:
                    other(member)

    return walk


def _pruner(schema: Schema) -> PruneWalk | None:
    return _prunes.get(schema, lambda sub: _compile_prune(sub, bool(sub.get("x-kubernetes-embedded-resource"))))


def _compile_root_prune(schema: Schema) -> PruneWalk | None:
    return _compile_prune(schema, True)


def _compile_prune(schema: Schema, resource: bool) -> PruneWalk | None:
    if schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties") and not resource:
        return None
    keep = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    properties: dict[str, Schema] = schema.get("properties", {})
    inner = {name: _pruner(sub) for name, sub in properties.items() if not (resource and name == "metadata")}
    names = frozenset(properties) | (_ROOT_FIELDS if resource else frozenset())
    others = schema.get("additionalProperties")
    other = _pruner(others) if isinstance(others, dict) else None
    keep = keep or bool(others)
    items = schema.get("items")
    item = _pruner(items) if isinstance(items, dict) else None
    if schema.get("type") == "array" or items:
        if not item:
            return None
        each = item

        def walk_list(value: Any, path: str, removed: list[str]) -> None:
            if isinstance(value, list):
                for index, element in enumerate(value):
                    each(element, f"{path}[{index}]", removed)

        return walk_list
    if schema.get("type") not in (None, "object") or schema.get("x-kubernetes-int-or-string"):
        return None

    def walk(value: Any, path: str, removed: list[str]) -> None:
        if not isinstance(value, dict):
            return
        prefix = f"{path}." if path else ""
        unknown = [] if keep else [name for name in value if name not in names]
        for name in unknown:
            del value[name]
            removed.append(prefix + name)
        for name, member in value.items():
            if name in names:
                if name in inner and (deeper := inner[name]):
                    deeper(member, prefix + name, removed)
            elif other:
                other(member, prefix + name, removed)
        if resource and isinstance(meta := value.get("metadata"), dict):
            for name in [name for name in meta if name not in _META_FIELDS]:
                del meta[name]
                removed.append(f"{prefix}metadata.{name}")

    return walk
