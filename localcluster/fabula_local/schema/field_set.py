"""Sets of field paths in the fieldsV1 form of managedFields, and their algebra.

A node {} is a path that is in the set; a node with children is in it only if it holds ".". Sets are never changed.
"""

import json
from collections.abc import Iterator
from typing import Any

FieldSet = dict[str, Any]


def is_member(node: FieldSet) -> bool:
    """Whether the path of this node is itself in the set."""
    return not node or "." in node


def children(node: FieldSet) -> Iterator[tuple[str, FieldSet]]:
    """The parts below a node."""
    return ((key, child) for key, child in node.items() if key != ".")


def make_node(below: FieldSet, *, member: bool) -> FieldSet | None:
    """A node of these children; None where it would say nothing."""
    if member:
        return {".": {}, **below} if below else {}
    return below or None


def union(fields: FieldSet, other: FieldSet) -> FieldSet:
    """Paths in either set."""
    if not fields or fields is other:
        return other
    result = dict(fields)
    for key, node in children(other):
        mine = result.get(key)
        result[key] = node if mine is None or mine == node else _union_node(mine, node)
    return result


def _union_node(fields: FieldSet, other: FieldSet) -> FieldSet:
    below = union(dict(children(fields)), dict(children(other)))
    return make_node(below, member=is_member(fields) or is_member(other)) or {}


def difference(fields: FieldSet, other: FieldSet) -> FieldSet:
    """Paths of `fields` that are not in `other`."""
    result: FieldSet = {}
    for key, node in children(fields):
        theirs = other.get(key)
        if theirs is None:
            result[key] = node
            continue
        left = make_node(difference(node, theirs), member=is_member(node) and not is_member(theirs))
        if left is not None:
            result[key] = left
    return result


def intersection(fields: FieldSet, other: FieldSet) -> FieldSet:
    """Paths in both sets."""
    result: FieldSet = {}
    for key, node in children(fields):
        theirs = other.get(key)
        if theirs is None:
            continue
        both = make_node(intersection(node, theirs), member=is_member(node) and is_member(theirs))
        if both is not None:
            result[key] = both
    return result


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Every path of the set in the words of a conflict: .spec.containers[name="c"].image"""
    for key, node in sorted(children(fields)):
        path = prefix + _element(key)
        if is_member(node):
            yield path
        yield from paths(node, path)


def _element(key: str) -> str:
    kind, _, text = key.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "k":
        pairs = json.loads(text)
        return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(pairs.items())) + "]"
    return f"[={text}]" if kind == "v" else f"[{text}]"
