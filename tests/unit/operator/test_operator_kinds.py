"""One definition for each kind: its conditions are those that it names, behind those of every kind."""

from __future__ import annotations

import pytest
from tests.support.observations import observed, step

from fabula_api.attribute_docs import attribute_docs
from fabula_api.recipes import Kind
from fabula_api.status import RunStatus
from fabula_operator.plan.kinds import CONDITION_TYPES, KINDS
from fabula_operator.plan.status.conditions import TYPES

EVERY = ("Accepted", "Running", "Suspended", "Succeeded", "Failed", "Finished", "Reconciling", "Stalled")


def types(status: RunStatus | None) -> tuple[str, ...]:
    assert status is not None
    return tuple(one.type for one in status.conditions)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", [{}, {"suspend": True}, {"recipe": "opera"}], ids=["starts", "held", "refused"])
def test_every_look_sets_all_conditions_of_the_kind_in_one_order(kind: Kind, spec: dict[str, object]) -> None:
    _, made = step(observed(kind, spec))
    # That of judges is said only where there are judges: runs of before they could be are left as they were.
    own = tuple(one for one in KINDS[kind].condition_types if one != "JudgesTrusted")
    assert types(made.status) == (*EVERY, *own)


def test_the_list_of_all_types_has_each_once() -> None:
    assert TYPES == EVERY
    assert CONDITION_TYPES[: len(EVERY)] == EVERY
    assert {"Healthy", "GatesPassed"} <= set(CONDITION_TYPES)
    assert len(set(CONDITION_TYPES)) == len(CONDITION_TYPES)


def test_kubectl_explain_names_every_condition_and_whose_it_is() -> None:
    said = attribute_docs(RunStatus)["conditions"]
    common, *own = " ".join(said.rstrip(".").split()).split("; ")
    assert tuple(common.split(", ")) == EVERY
    told = dict(reversed(one.split(" on an " if " on an " in one else " on a ")) for one in " ".join(own).split(", "))
    assert {kind: tuple(names.split(" and ")) for kind, names in told.items()} == {
        kind: found.condition_types for kind, found in KINDS.items() if found.condition_types
    }
