"""CEL rules: those people write in CRDs, and what a broken one says."""

import copy
from typing import Any

import pytest
from tests.support.cost import cost_beside

from fabula_local.schema.cel import CelRules
from fabula_local.schema.cel_soundness import compile_errors
from fabula_local.schema.errors import FieldError

PROPERTIES: dict[str, Any] = {
    "a": {"type": "integer"},
    "b": {"type": "integer"},
    "rate": {"type": "number"},
    "name": {"type": "string"},
    "mode": {"type": "string"},
    "namespace": {"type": "string"},
    "size": {"x-kubernetes-int-or-string": True},
    "list": {"type": "array", "items": {"type": "integer"}},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "deep": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
    "arms": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}},
    },
}


def spec_schema(*rules: dict[str, Any]) -> dict[str, Any]:
    spec = {"type": "object", "properties": PROPERTIES, "x-kubernetes-validations": list(rules)}
    return {"type": "object", "properties": {"spec": spec}}


def check(rule: str | dict[str, Any], spec: dict[str, Any], old: dict[str, Any] | None = None) -> list[FieldError]:
    one = {"rule": rule} if isinstance(rule, str) else rule
    schema = spec_schema(one)
    assert compile_errors(schema) == []
    return CelRules(schema).check({"spec": spec}, None if old is None else {"spec": old})


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("self.a <= self.b", {"a": 1, "b": 2}, {"a": 3, "b": 2}),
        ("!has(self.a) || has(self.b)", {"b": 1}, {"a": 1}),
        ("has(self.a) != has(self.b)", {"a": 1}, {"a": 1, "b": 1}),
        ("self.rate > 0 && self.rate <= 1", {"rate": 1}, {"rate": 1.5}),
        ("self.rate / 2.0 == 1.0", {"rate": 2}, {"rate": 3}),
        ("self.list.all(x, x > 0)", {"list": [1, 2]}, {"list": [0]}),
        ("self.list.exists(x, x == 2)", {"list": [1, 2]}, {"list": [1]}),
        ("self.list.exists_one(x, x == 2)", {"list": [1, 2]}, {"list": [2, 2]}),
        ("size(self.list.filter(x, x > 1)) == 1", {"list": [1, 2]}, {"list": [2, 2]}),
        ("self.name.matches('^[a-z]+$')", {"name": "ab"}, {"name": "A"}),
        ("self.name.startsWith('s3://') || self.name.startsWith('file://')", {"name": "s3://x"}, {"name": "x"}),
        ("self.mode in ['x', 'y']", {"mode": "x"}, {"mode": "z"}),
        ("self.mode == 'x' ? has(self.a) : true", {"mode": "y"}, {"mode": "x"}),
        ("'k' in self.labels", {"labels": {"k": ""}}, {"labels": {}}),
        ("self.labels.all(k, self.labels[k] != '')", {"labels": {"k": "v"}}, {"labels": {"k": ""}}),
        ("self.__namespace__ == 'n'", {"namespace": "n"}, {"namespace": "m"}),
        ("type(self.size) == int ? self.size > 1 : self.size.endsWith('%')", {"size": "5%"}, {"size": 1}),
        ("1.0 == 1 && 2 > 1.5", {}, None),
        ("self.arms.exists(arm, arm.name == 'base')", {"arms": [{"name": "base"}]}, {"arms": [{"name": "x"}]}),
    ],
)
def test_rules_people_write(rule: str, good: dict[str, Any], bad: dict[str, Any] | None) -> None:
    assert check(rule, good) == []
    if bad is not None:
        assert check(rule, bad) == [FieldError("FieldValueInvalid", "spec", f"Invalid value: failed rule: {rule}")]


@pytest.mark.parametrize(
    ("rule", "spec", "message"),
    [
        ({"rule": "self.a > 1", "message": "a is small"}, {"a": 1}, "Invalid value: a is small"),
        ({"rule": "self.a > 1"}, {}, 'Invalid value: "object": no such key: a evaluating rule: self.a > 1'),
        ({"rule": "self.a > 1", "reason": "FieldValueForbidden", "message": "no"}, {"a": 1}, "Forbidden: no"),
        ({"rule": "has(self.a)", "reason": "FieldValueRequired", "message": "give a"}, {}, "Required value: give a"),
    ],
)
def test_what_a_broken_rule_says(rule: dict[str, Any], spec: dict[str, Any], message: str) -> None:
    (found,) = check(rule, spec)
    assert (found.field, found.message) == ("spec", message)


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "string"}, "bad", 'Invalid value: "bad": no'),
        ({"type": "integer"}, 5, "Invalid value: 5: no"),
        ({"type": "boolean"}, False, "Invalid value: false: no"),
        ({"type": "number"}, 1.5, "Invalid value: 1.5: no"),
        ({"type": "array", "items": {"type": "integer"}}, [1], "Invalid value: no"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b"}, "Invalid value: no"),
    ],
)
def test_a_scalar_that_breaks_a_rule_is_shown(schema: dict[str, Any], value: Any, message: str) -> None:
    guarded = {**schema, "x-kubernetes-validations": [{"rule": "1 > 2", "message": "no"}]}
    (found,) = CelRules({"type": "object", "properties": {"field": guarded}}).check({"field": value}, None)
    assert (found.field, found.message) == ("field", message)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (FieldError("FieldValueRequired", "spec.a", "Required value"), "<nil>"),
        (FieldError("FieldValueTypeInvalid", "spec.a", "Invalid value"), "<nil>"),
        (FieldError("FieldValueInvalid", "spec.a", "Invalid value: 0: too small"), "spec"),
    ],
    ids=["missing", "of another type", "out of bounds"],
)
def test_rules_need_an_object_of_the_right_shape(known: FieldError, said: str) -> None:
    rules = CelRules(spec_schema({"rule": "self.a > 1"}))
    (found,) = rules.check({"spec": {"a": 0}}, None, [known])
    assert found.field == said
    assert CelRules({"type": "object"}).check({}, None, [known]) == [], "where there are no rules, none was left out"


def test_field_path_points_below() -> None:
    (found,) = check({"rule": "self.a > 1", "fieldPath": ".a"}, {"a": 1})
    assert found.field == "spec.a"


def test_transition_rules_run_on_update_only() -> None:
    rule = {"rule": "self.a == oldSelf.a", "message": "a is immutable"}
    assert check(rule, {"a": 1}) == []
    assert check(rule, {"a": 1, "b": 1}, {"a": 1}) == []
    assert [one.message for one in check(rule, {"a": 2}, {"a": 1})] == ["Invalid value: a is immutable"]


def test_items_of_a_map_list_meet_their_old_selves_by_key() -> None:
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}],
    }
    arms = {**PROPERTIES["arms"], "items": item}
    rules = CelRules({"type": "object", "properties": {"arms": arms}})
    old = {"arms": [{"name": "x", "v": 1}, {"name": "y", "v": 5}]}
    assert rules.check({"arms": [{"name": "y", "v": 5}, {"name": "z", "v": 0}]}, old) == []
    assert [one.field for one in rules.check({"arms": [{"name": "z", "v": 0}, {"name": "y", "v": 4}]}, old)] == [
        "arms[1]"
    ]


def test_a_value_that_did_not_change_does_not_fail_a_rule() -> None:
    assert check("self.a > 1", {"a": 1}, {"a": 1}) == []
    assert len(check("self.a > 1", {"a": 1, "b": 2}, {"a": 1})) == 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("self.a >", "Syntax error"),
        ("self.missing > 1", "undefined field 'missing'"),
        ("self.deep.z == 1", "undefined field 'z'"),
        ("isQuantity(self.name)", "undeclared reference to 'isQuantity'"),
        ("self.name.split('-').size() == 2", "undeclared reference to 'split'"),
        ("self.name.lowerAscii() == self.name", "undeclared reference to 'lowerAscii'"),
        ("self.list.sum() > 1", "undeclared reference to 'sum'"),
        ("self.name > string(timestamp('2026-01-01T00:00:00Z'))", "undeclared reference to 'timestamp'"),
        ("optional.of(self.a).hasValue()", "undeclared reference to"),
        ("self.?a.orValue(5) == 5", "compilation failed"),
        ("nonsense(self.a)", "undeclared reference to 'nonsense'"),
        ("self.name.fly()", "undeclared reference to 'fly'"),
    ],
)
def test_rules_that_cannot_work_are_reported_with_their_path(rule: str, words: str) -> None:
    (found,) = compile_errors(spec_schema({"rule": "true"}, {"rule": rule}))
    assert found.field == ".properties[spec].x-kubernetes-validations[1].rule"
    assert words in found.message


@pytest.mark.parametrize("name", ["messageExpression", "optionalOldSelf"])
def test_what_a_rule_may_not_have_here_is_refused_by_its_name(name: str) -> None:
    (found,) = compile_errors(spec_schema({"rule": "self.a > 1", name: "'a'" if name == "messageExpression" else True}))
    assert found.field == f".properties[spec].x-kubernetes-validations[0].{name}"
    assert found.message == f"Forbidden: the laptop's API server does not know {name}"


def test_old_self_needs_items_that_can_be_told_apart() -> None:
    item = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": item}}}
    assert "uncorrelatable" in compile_errors(schema)[0].message


def test_ten_rules_cost_little_more_than_a_copy_of_the_object() -> None:
    rules = CelRules(spec_schema(*({"rule": f"self.a > {-i}"} for i in range(10))))
    spec = {"spec": {"a": 1, "list": list(range(100)), "labels": {f"k{i}": "v" for i in range(50)}}}
    assert rules.check(spec, None) == []
    assert cost_beside(lambda: rules.check(spec, None), lambda: copy.deepcopy(spec)) < 5
