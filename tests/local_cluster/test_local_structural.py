"""Structural schemas: defaults, pruning and messages as a Kubernetes API server gives them."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cost import cost_beside

from fabula_local.schema.structural import FieldError, apply_defaults, prune, validate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
                "rank": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 512, "default": 16},
                "rate": {"type": "number", "exclusiveMinimum": True, "minimum": 0, "maximum": 1000000},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "port": {"x-kubernetes-int-or-string": True},
                "when": {"type": "string", "format": "date-time"},
                "maybe": {"type": "string", "nullable": True},
                "flag": {"type": "boolean"},
                "list": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "integer"}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "map": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "size": {"type": "integer", "default": 3}},
                    },
                },
                "labels": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "either": {
                    "type": "object",
                    "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
                    "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
                },
                "nested": {
                    "type": "object",
                    "default": {},
                    "properties": {"deep": {"type": "string", "default": "d"}},
                },
            },
        },
    },
}

INVALID, TYPE = "FieldValueInvalid", "FieldValueTypeInvalid"


@pytest.mark.parametrize(
    ("field", "value", "reason", "path", "message"),
    [
        ("rank", 0, INVALID, "spec.rank", "Invalid value: 0: spec.rank in body should be greater than or equal to 1"),
        (
            "rank",
            513,
            INVALID,
            "spec.rank",
            "Invalid value: 513: spec.rank in body should be less than or equal to 512",
        ),
        (
            "rank",
            "x",
            TYPE,
            "spec.rank",
            'Invalid value: "string": spec.rank in body must be of type integer: "string"',
        ),
        (
            "rank",
            1.5,
            TYPE,
            "spec.rank",
            'Invalid value: "number": spec.rank in body must be of type integer: "number"',
        ),
        ("rate", 0.0, INVALID, "spec.rate", "Invalid value: 0: spec.rate in body should be greater than 0"),
        (
            "rate",
            2e6,
            INVALID,
            "spec.rate",
            "Invalid value: 2e+06: spec.rate in body should be less than or equal to 1e+06",
        ),
        ("name", "a", INVALID, "spec.name", 'Invalid value: "a": spec.name in body should be at least 2 chars long'),
        ("name", "abcde", "FieldValueTooLong", "spec.name", "Too long: may not be more than 4 bytes"),
        ("name", "AB", INVALID, "spec.name", "Invalid value: \"AB\": spec.name in body should match '^[a-z]+$'"),
        ("name", "ab\n", INVALID, "spec.name", "Invalid value: \"ab\\n\": spec.name in body should match '^[a-z]+$'"),
        ("name", None, TYPE, "spec.name", 'Invalid value: "null": spec.name in body must be of type string: "null"'),
        ("mode", "c", "FieldValueNotSupported", "spec.mode", 'Unsupported value: "c": supported values: "a", "b"'),
        (
            "port",
            True,
            TYPE,
            "spec.port",
            'Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
        ),
        ("when", "x", TYPE, "spec.when", 'Invalid value: "x": spec.when in body must be of type date-time: "x"'),
        (
            "flag",
            1,
            TYPE,
            "spec.flag",
            'Invalid value: "integer": spec.flag in body must be of type boolean: "integer"',
        ),
        ("list", [], INVALID, "spec.list", "Invalid value: 0: spec.list in body should have at least 1 items"),
        ("list", [1, 2, 3, 4], "FieldValueTooMany", "spec.list", "Too many: 4: must have at most 3 items"),
        (
            "list",
            [1, "x"],
            TYPE,
            "spec.list[1]",
            'Invalid value: "string": spec.list[1] in body must be of type integer: "string"',
        ),
        ("set", ["a", "a"], "FieldValueDuplicate", "spec.set[1]", 'Duplicate value: "a"'),
        ("map", [{"name": "a"}, {"name": "a"}], "FieldValueDuplicate", "spec.map[1]", 'Duplicate value: {"name":"a"}'),
        ("map", [{}], "FieldValueRequired", "spec.map[0].name", "Required value"),
        (
            "labels",
            {"a": 1},
            TYPE,
            "spec.labels.a",
            'Invalid value: "integer": spec.labels.a in body must be of type string: "integer"',
        ),
        (
            "labels",
            {"a": "", "b": "", "c": ""},
            "FieldValueTooMany",
            "spec.labels",
            "Too many: 3: must have at most 2 items",
        ),
    ],
)
def test_violations_use_the_words_of_kubernetes(field: str, value: Any, reason: str, path: str, message: str) -> None:
    obj = {"spec": {"name": "ab", field: value}}
    assert validate(obj, SCHEMA) == [FieldError(reason, path, message)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("rank", 2.0), ("rate", 1), ("port", 1), ("port", "http"), ("maybe", None), ("when", "2024-01-01T00:00:00Z"),
     ("either", {"x": "1"}), ("free", {"any": [1]}), ("when", "2024-01-01T00:00:00.123456+02:00")],
)  # fmt: skip
def test_valid_values_pass(field: str, value: Any) -> None:
    assert validate({"spec": {"name": "ab", field: value}}, SCHEMA) == []


def test_missing_fields_are_required() -> None:
    assert validate({}, SCHEMA) == [FieldError("FieldValueRequired", "spec", "Required value")]
    assert validate({"spec": {}}, SCHEMA) == [FieldError("FieldValueRequired", "spec.name", "Required value")]


def test_one_of_says_how_many_matched() -> None:
    both = validate({"spec": {"name": "ab", "either": {"x": "", "y": ""}}}, SCHEMA)
    assert both[0].message == (
        'Invalid value: "": "spec.either" must validate one and only one schema (oneOf). Found 2 valid alternatives'
    )
    assert both[0].field == "<nil>"
    none = validate({"spec": {"name": "ab", "either": {}}}, SCHEMA)
    assert none[0].message.endswith("(oneOf). Found none valid")
    assert none[1] == FieldError("FieldValueRequired", "spec.either.x", "Required value")


@pytest.mark.parametrize(
    ("schema", "value", "messages"),
    [
        (
            {"anyOf": [{"minimum": 5}, {"maximum": 1}]},
            3,
            ['"x" must validate at least one schema (anyOf)', "greater than or equal to 5"],
        ),
        (
            {"allOf": [{"minimum": 5}, {"maximum": 9}]},
            3,
            ["greater than or equal to 5", '"x" must validate all the schemas (allOf)'],
        ),
        ({"allOf": [{"minimum": 5}]}, 3, ["greater than or equal to 5", "(allOf). None validated"]),
        ({"not": {"minimum": 2}}, 3, ['"x" must not validate the schema (not)']),
        ({"format": "int32"}, 2**31, ["Checked value must be of type integer with format int32 in x"]),
        ({"multipleOf": 2}, 3, ["x in body should be a multiple of 2"]),
    ],
)
def test_composed_schemas(schema: dict[str, Any], value: Any, messages: list[str]) -> None:
    found = validate({"x": value}, {"type": "object", "properties": {"x": {"type": "integer", **schema}}})
    assert len(found) == len(messages)
    for one, text in zip(found, messages, strict=True):
        assert text in one.message


def test_defaults_fill_nested_objects_and_replace_null() -> None:
    obj: dict[str, Any] = {"spec": {"rank": None, "maybe": None, "map": [{"name": "a"}]}}
    apply_defaults(obj, SCHEMA)
    assert obj == {"spec": {"rank": 16, "maybe": None, "map": [{"name": "a", "size": 3}], "nested": {"deep": "d"}}}


def test_defaults_are_not_shared_between_objects() -> None:
    one: dict[str, Any] = {"spec": {}}
    two: dict[str, Any] = {"spec": {}}
    apply_defaults(one, SCHEMA)
    one["spec"]["nested"]["deep"] = "changed"
    apply_defaults(two, SCHEMA)
    assert two["spec"]["nested"] == {"deep": "d"}


def test_pruning_removes_unknown_fields_and_names_them() -> None:
    obj: dict[str, Any] = {
        "kind": "X",
        "metadata": {"name": "n", "labels": {"a": "b"}, "oops": 1},
        "extra": 1,
        "spec": {"foo": 1, "free": {"kept": {"x": 1}}, "labels": {"k": "v"}, "map": [{"name": "a", "bad": 1}]},
    }
    assert sorted(prune(obj, SCHEMA)) == ["extra", "metadata.oops", "spec.foo", "spec.map[0].bad"]
    assert obj == {
        "kind": "X",
        "metadata": {"name": "n", "labels": {"a": "b"}},
        "spec": {"free": {"kept": {"x": 1}}, "labels": {"k": "v"}, "map": [{"name": "a"}]},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "rank", "map", "nested", "zz", "labels", "deep", "free", "set"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(spec=JSON)
def test_pruning_and_defaulting_settle_after_one_pass(spec: Any) -> None:
    obj: dict[str, Any] = {"spec": spec}
    prune(obj, SCHEMA)
    apply_defaults(obj, SCHEMA)
    again = copy.deepcopy(obj)
    assert prune(again, SCHEMA) == []
    apply_defaults(again, SCHEMA)
    assert again == obj
    validate(obj, SCHEMA)


def test_a_hundred_fields_cost_a_few_copies_of_the_object() -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        f"f{i}": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 1} for i in range(100)}}}}  # fmt: skip
    obj = {"spec": {f"f{i}": i for i in range(100)}}

    def admit() -> None:
        prune(obj, schema)
        apply_defaults(obj, schema)
        assert validate(obj, schema) == []

    assert cost_beside(admit, lambda: copy.deepcopy(obj)) < 20
