"""Server-side apply: who owns which field, and what happens to it."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.cost import cost_beside

from fabula_local.schema.apply import ApplyConflict, server_side_apply, track_update
from fabula_local.schema.builtin import builtin_resources
from fabula_local.schema.field_set import difference, intersection, union

POD = next(one.schema for one in builtin_resources() if one.plural == "pods")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "properties": {
                "a": {"type": "integer"},
                "b": {"type": "integer"},
                "deep": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "atomic": {"type": "array", "items": {"type": "integer"}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "map": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "properties": {"name": {"type": "string"}, "v": {"type": "integer"}, "w": {"type": "integer"}},
                    },
                },
            },
        },
    },
}
T1, T2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def config(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "x.dev/v1", "kind": "X", "metadata": {"name": "n"}, "spec": spec}


def apply(live: Any, applied: Any, manager: str = "one", force: bool = False, now: str = T1) -> dict[str, Any]:
    before = copy.deepcopy((live, applied))
    result = server_side_apply(live, applied, manager=manager, force=force, schema=SCHEMA, now=now)
    assert (live, applied) == before, "arguments are left alone"
    return result


def owners(obj: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


def test_the_first_apply_owns_what_it_says() -> None:
    created = apply(
        None, config(a=1, deep={"x": 1}, map=[{"name": "m", "v": 1}], set=["s"], atomic=[1], labels={"k": "v"})
    )
    assert created["metadata"]["managedFields"] == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "x.dev/v1",
            "time": T1,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:spec": {
                    "f:a": {},
                    "f:deep": {"f:x": {}},
                    "f:map": {'k:{"name":"m"}': {".": {}, "f:name": {}, "f:v": {}}},
                    "f:set": {'v:"s"': {}},
                    "f:atomic": {},
                    "f:labels": {"f:k": {}},
                }
            },
        }
    ]


def test_leaving_a_field_out_removes_it() -> None:
    live = apply(None, config(a=1, b=2, deep={"x": 1}, map=[{"name": "m", "v": 1}, {"name": "n"}], set=["s", "t"]))
    after = apply(live, config(a=1, map=[{"name": "n"}], set=["t"]), now=T2)
    assert after["spec"] == {"a": 1, "map": [{"name": "n"}], "set": ["t"]}
    assert after["metadata"]["managedFields"][0]["time"] == T2


def test_a_field_with_a_second_owner_stays() -> None:
    live = apply(None, config(a=1, map=[{"name": "m", "v": 1}]))
    live = apply(live, config(a=1, map=[{"name": "m", "w": 2}]), manager="two")
    after = apply(live, {**config(), "spec": {}}, manager="one")
    assert after["spec"] == {"a": 1, "map": [{"name": "m", "w": 2}]}
    assert owners(after)["one"] == {"f:spec": {}}
    assert owners(after)["two"] == {
        "f:spec": {"f:a": {}, "f:map": {'k:{"name":"m"}': {".": {}, "f:name": {}, "f:w": {}}}}
    }


def test_a_conflict_names_manager_and_path() -> None:
    live = apply(None, config(a=1, map=[{"name": "m", "v": 1}]))
    with pytest.raises(ApplyConflict) as caught:
        apply(live, config(a=2), manager="two")
    assert caught.value.conflicts == [("one", ".spec.a")]
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "one": .spec.a'
    with pytest.raises(ApplyConflict) as both:
        apply(live, config(a=2, map=[{"name": "m", "v": 2}]), manager="two")
    assert both.value.conflicts == [("one", ".spec.a"), ("one", '.spec.map[name="m"].v')]
    assert str(both.value).startswith('Apply failed with 2 conflicts: conflicts with "one":\n- .spec.a')


def test_force_takes_the_field_over() -> None:
    live = apply(None, config(a=1, b=1))
    after = apply(live, config(a=2), manager="two", force=True)
    assert after["spec"] == {"a": 2, "b": 1}
    assert owners(after) == {"one": {"f:spec": {"f:b": {}}}, "two": {"f:spec": {"f:a": {}}}}


def test_the_same_value_is_shared_without_conflict() -> None:
    after = apply(apply(None, config(a=1)), config(a=1), manager="two")
    assert owners(after) == {"one": {"f:spec": {"f:a": {}}}, "two": {"f:spec": {"f:a": {}}}}


def test_applying_twice_changes_nothing() -> None:
    live = apply(None, config(a=1, map=[{"name": "m", "v": 1}]))
    assert apply(live, config(a=1, map=[{"name": "m", "v": 1}]), now=T2) == live


def updated(
    old: Any, new: dict[str, Any], manager: str = "editor", now: str = T1, subresource: str = ""
) -> dict[str, Any]:
    new = copy.deepcopy(new)
    track_update(old, new, manager=manager, subresource=subresource, schema=SCHEMA, now=now)
    return new


def test_a_create_owns_everything_but_what_the_server_sets() -> None:
    created = updated(None, config(a=1, deep={"x": 1}))
    assert owners(created) == {"editor": {"f:spec": {".": {}, "f:a": {}, "f:deep": {".": {}, "f:x": {}}}}}
    assert created["metadata"]["managedFields"][0]["operation"] == "Update"


def test_an_update_takes_changed_fields_from_an_applier() -> None:
    live = apply(None, config(a=1, b=1))
    after = updated(live, {**live, "spec": {"a": 2, "b": 1}}, now=T2)
    assert owners(after) == {"one": {"f:spec": {"f:b": {}}}, "editor": {"f:spec": {"f:a": {}}}}
    with pytest.raises(ApplyConflict) as caught:
        apply(after, config(a=1, b=1))
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "editor" using x.dev/v1: .spec.a'


def test_an_update_that_changes_nothing_keeps_the_entries_and_their_time() -> None:
    live = updated(None, config(a=1))
    assert updated(live, live, now=T2) == live
    without = {**live, "metadata": {"name": "n"}}
    assert updated(live, without, now=T2) == live


def test_removed_fields_leave_every_set() -> None:
    live = apply(None, config(a=1, b=1))
    after = updated(live, {**live, "spec": {"a": 1}})
    assert owners(after) == {"one": {"f:spec": {"f:a": {}}}}


def test_a_status_write_has_an_entry_of_its_own() -> None:
    live = updated(None, config(a=1))
    after = updated(live, {**live, "status": {"step": 1}}, subresource="status", now=T2)
    assert [(one.get("subresource"), one["time"]) for one in after["metadata"]["managedFields"]] == [
        (None, T1),
        ("status", T2),
    ]


def test_managed_fields_can_be_cleared() -> None:
    live = updated(None, config(a=1))
    cleared = updated(live, {**live, "metadata": {"name": "n", "managedFields": [{}]}})
    assert "managedFields" not in cleared["metadata"]


def test_an_object_from_before_managed_fields_gets_an_owner() -> None:
    live = config(a=1, b=1)
    after = apply(live, config(a=1))
    assert after["spec"] == {"a": 1, "b": 1}
    assert set(owners(after)) == {"one", "before-first-apply"}


def test_pod_ports_are_known_by_port_and_protocol() -> None:
    assert POD is not None
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}},
           "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}}  # fmt: skip
    made = server_side_apply(None, pod, manager="m", force=False, schema=POD, now=T1)
    container = owners(made)["m"]["f:spec"]["f:containers"]['k:{"name":"c"}']
    assert list(container["f:ports"]) == ['k:{"containerPort":80,"protocol":"TCP"}']
    assert owners(made)["m"]["f:metadata"] == {"f:labels": {"f:a": {}}}


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "a": st.integers(0, 2),
        "b": st.integers(0, 2),
        "deep": st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2)),
        "labels": st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
        "atomic": st.lists(st.integers(0, 2), max_size=2),
        "set": st.lists(st.sampled_from(["s", "t", "u"]), unique=True, max_size=3),
        "map": st.lists(st.sampled_from(["m", "n"]), unique=True, max_size=2).map(
            lambda names: [{"name": n} for n in names]
        ),
        "free": st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2)),
    },
)


def kept(obj: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether all that was asked for is there. What an apply empties and asks for as empty is null or gone at first."""
    return obj["spec"] is not None and all(obj["spec"].get(name) is not None for name in asked)


@pytest.mark.parametrize(
    ("before", "after", "spec"),
    [
        ({"labels": {"k": "1"}}, {"labels": {"l": "1"}}, {"labels": {"l": "1"}}),
        ({"labels": {"k": "1"}, "a": 1}, {"a": 1}, {"a": 1}),
        ({"labels": {"k": "1"}}, {"labels": {}}, {"labels": None}),
        ({"a": 1}, {}, None),
        ({"atomic": [1]}, {"atomic": []}, {"atomic": []}),
        ({"set": ["s"], "a": 1}, {"set": [], "a": 1}, {"a": 1}),
        ({"a": 1}, {"set": [], "a": 1}, {"set": [], "a": 1}),
    ],
    ids=["another entry", "left out", "asked for as empty", "all left out", "atomic", "emptied set", "empty set"],
)
def test_what_an_apply_leaves_out(before: Any, after: Any, spec: Any) -> None:
    """As Kubernetes 1.36 does, the null included, which its validation then refuses."""
    assert apply(apply(None, config(**before)), config(**after))["spec"] == spec


def test_what_is_left_out_goes_with_the_defaults_below_it() -> None:
    live = apply(None, config(deep={"x": 1}))
    live["spec"]["deep"]["y"] = 2
    assert apply(live, config(a=1))["spec"] == {"a": 1}


@given(first=VALUES, second=VALUES, other=VALUES)
def test_any_apply_repeated_is_a_no_op(first: Any, second: Any, other: Any) -> None:
    live = apply(None, config(**first))
    live = apply(live, config(**other), manager="two", force=True)
    once = apply(live, config(**second), force=True)
    assume(kept(once, second))
    assert apply(once, config(**second), force=True, now=T2) == once
    for field, value in second.items():
        if field in ("a", "b", "atomic"):
            assert once["spec"][field] == value


@given(first=VALUES, second=VALUES)
def test_a_sole_owner_gets_exactly_what_it_applies(first: Any, second: Any) -> None:
    def dense(spec: Any) -> Any:
        return {k: v for k, v in spec.items() if v not in ({}, [])}

    live = apply(None, config(**first))
    after = apply(live, config(**second))
    assume(kept(after, second))
    assert {k: sorted(v, key=str) if k in ("set", "map") else v for k, v in dense(after["spec"]).items()} == {
        k: sorted(v, key=str) if k in ("set", "map") else v for k, v in dense(second).items()
    }


def node(parts: dict[str, Any]) -> dict[str, Any]:
    return {} if set(parts) == {"."} else {key: ({} if key == "." else value) for key, value in parts.items()}


NAMES = st.sampled_from(["f:a", "f:b", "f:c", "."])
SETS = st.recursive(st.just({}), lambda inner: st.dictionaries(NAMES, inner, max_size=3).map(node), max_leaves=8)


@given(one=SETS, other=SETS)
def test_set_algebra(one: Any, other: Any) -> None:
    one, other = ({k: v for k, v in x.items() if k != "."} for x in (one, other))
    both = intersection(one, other)
    assert difference(difference(one, other), other) == difference(one, other)
    assert difference(both, one) == {}
    assert difference(one, union(one, other)) == {}
    assert union(difference(one, other), both) == one


def test_tracking_costs_a_few_copies_of_the_object() -> None:
    assert POD is not None
    container = {"name": "c", "image": "i", "env": [{"name": f"E{i}", "value": "v"} for i in range(20)]}
    pod = {
        "apiVersion": "v1",
        "metadata": {"name": "p"},
        "spec": {"containers": [container]},
        "status": {"phase": "Pending"},
    }
    track_update(None, pod, manager="a", subresource="", schema=POD, now=T1)

    def changed() -> dict[str, Any]:
        new = copy.deepcopy(pod)
        new["status"]["phase"] = "Running"
        return new

    def track() -> None:
        track_update(pod, changed(), manager="node", subresource="status", schema=POD, now=T2)

    assert cost_beside(track, changed) < 10
