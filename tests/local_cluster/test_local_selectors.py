"""Selectors: the grammar of label and field selectors."""

from typing import Any

import pytest

from fabula_local.schema.selectors import (
    SelectorError,
    match_label_selector,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"a": "b", "c": "x", "n": "5", "app.kubernetes.io/name": "fabula", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("a=b", True),
        ("a==b", True),
        ("a = b , c = x", True),
        ("a!=b", False),
        ("z!=b", True),
        ("a", True),
        ("!a", False),
        ("! z", True),
        ("c in (x,y)", True),
        ("c in (x, y),a=b", True),
        ("c notin (x,y)", False),
        ("z notin (x)", True),
        ("n>4", True),
        ("n<4", False),
        ("app.kubernetes.io/name=fabula", True),
        ("empty=", True),
        ("a=b,c=x,!d,e!=f,c in (x)", True),
        ("in=1", False),
    ],
)
def test_label_selectors(text: str, matches: bool) -> None:
    assert parse_label_selector(text)(LABELS) is matches


@pytest.mark.parametrize("text", ["a=b=c", "a in x", "=b", "a in (x", "a,,b!", "n>x"])
def test_unreadable_label_selectors_are_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"a": "b"}}, True),
        ({"matchLabels": {"a": "c"}}, False),
        ({"matchExpressions": [{"key": "c", "operator": "In", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["x"]}]}, False),
        ({"matchExpressions": [{"key": "z", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}, True),
    ],
)
def test_label_selector_objects(selector: Any, matches: bool) -> None:
    assert match_label_selector(selector)(LABELS) is matches


def test_field_selectors() -> None:
    assert parse_field_selector("metadata.name=x,status.phase!=Failed,spec.nodeName==n") == [
        ("metadata.name", "=", "x"),
        ("status.phase", "!=", "Failed"),
        ("spec.nodeName", "=", "n"),
    ]
    assert parse_field_selector("") == []
    assert parse_field_selector("a=x\\,y") == [("a", "=", "x,y")]
    with pytest.raises(SelectorError, match="can't understand"):
        parse_field_selector("metadata.name")
