"""Patches: the examples of the RFCs and of the strategic merge patch design, and what must hold for any document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_local.schema.merge import PatchError, clone, json_patch, merge_patch, strategic_merge_patch

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
KEYS = st.sampled_from(["a", "b", "c", "", "\u00e9/~"])
"""Few, so that a patch meets what is there."""
JSON = st.recursive(SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(KEYS, x, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=4)


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_examples_of_rfc_7386(doc: Any, patch: Any, expected: Any) -> None:
    before = clone(doc)
    assert merge_patch(doc, patch) == expected
    assert doc == before


@given(doc=OBJECTS, patch=OBJECTS)
def test_a_merge_patch_applied_twice_changes_nothing_more(doc: Any, patch: Any) -> None:
    once = merge_patch(doc, patch)
    assert merge_patch(once, patch) == once


def test_json_patch_applies_and_leaves_the_document() -> None:
    doc = {"spec": {"a": [1, 2]}}
    operations = [{"op": "test", "path": "/spec/a/0", "value": 1}, {"op": "add", "path": "/spec/a/-", "value": 3}]
    assert json_patch(doc, operations) == {"spec": {"a": [1, 2, 3]}}
    assert doc == {"spec": {"a": [1, 2]}}


@pytest.mark.parametrize(
    ("operations", "malformed"),
    [
        ([{"op": "test", "path": "/a", "value": 2}], False),
        ([{"op": "remove", "path": "/zz"}], False),
        ([{"op": "replace", "path": "/zz/y", "value": 2}], False),
        ([{"op": "fly", "path": "/a"}], False),
        ([{"path": "/a"}], False),
        ([7], True),
        ({"a": 1}, True),
    ],
)
def test_a_bad_json_patch_says_whether_it_is_malformed(operations: Any, malformed: bool) -> None:
    with pytest.raises(PatchError) as caught:
        json_patch({"a": 1}, operations)
    assert caught.value.malformed is malformed


NAMED = {
    "type": "array",
    "x-kubernetes-patch-strategy": "merge",
    "x-kubernetes-patch-merge-key": "name",
    "items": {"type": "object", "properties": {}},
}
SCHEMA: dict[str, Any] = {
    "properties": {
        "containers": {
            **NAMED,
            "items": {"properties": {"env": NAMED, "args": {"type": "array"}}},
        },
        "finalizers": {"type": "array", "x-kubernetes-patch-strategy": "merge", "items": {"type": "string"}},
        "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {}},
        "labels": {"additionalProperties": {"type": "string"}},
    }
}


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        (
            {"containers": [{"name": "a", "image": "1", "args": ["x"]}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2", "args": ["x"]}, {"name": "b"}]},
        ),
        (
            {"containers": named("a", "b")},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": named("b")},
        ),
        (
            {"containers": named("a", "b")},
            {"containers": [{"name": "c"}, {"$patch": "replace"}]},
            {"containers": named("c")},
        ),
        (
            {"containers": [{"name": "a", "args": ["x"], "env": named("e", "f")}]},
            {"containers": [{"name": "a", "args": ["y"], "env": [{"name": "e", "value": "1"}]}]},
            {"containers": [{"name": "a", "args": ["y"], "env": [{"name": "e", "value": "1"}, {"name": "f"}]}]},
        ),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["c"]}, {"finalizers": ["c", "a", "b"]}),
        ({"finalizers": ["a", "b", "c"]}, {"$deleteFromPrimitiveList/finalizers": ["b"]}, {"finalizers": ["a", "c"]}),
        (
            {"finalizers": ["a", "b"]},
            {"$setElementOrder/finalizers": ["b", "a", "c"], "finalizers": ["c"]},
            {"finalizers": ["b", "a", "c"]},
        ),
        (
            {"containers": named("1", "2", "3")},
            {"$setElementOrder/containers": named("3", "1")},
            {"containers": named("2", "3", "1")},
        ),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
        ),
        ({"strategy": {"a": 1}}, {"strategy": {"$patch": "replace", "b": 2}}, {"strategy": {"b": 2}}),
        ({"strategy": {"a": 1}}, {"strategy": {"$patch": "delete"}}, {}),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": None}}, {"labels": {"b": "2"}}),
        ({}, {"labels": {"a": None, "b": "1"}}, {"labels": {"b": "1"}}),
        ({"other": [1]}, {"other": [2]}, {"other": [2]}),
    ],
)
def test_strategic_merge_patch(doc: Any, patch: Any, expected: Any) -> None:
    before = clone(doc)
    assert strategic_merge_patch(doc, patch, SCHEMA) == expected
    assert doc == before


def test_an_item_without_its_merge_key_is_refused() -> None:
    with pytest.raises(PatchError, match="does not contain declared merge key: name"):
        strategic_merge_patch({}, {"containers": [{"image": "x"}]}, SCHEMA)


@given(doc=OBJECTS, patch=OBJECTS)
def test_without_merge_keys_it_is_a_merge_patch(doc: Any, patch: Any) -> None:
    assert strategic_merge_patch(doc, patch, {}) == merge_patch(doc, patch)
