"""One definition for each kind: its conditions are those that it names, behind those of every kind."""

from __future__ import annotations

import pytest
from tests.support.observations import observed, step

from fabula_api.crd import crd
from fabula_api.recipes import API_KINDS, Kind
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
    own = tuple(one for one in API_KINDS[kind].status.own_conditions if one != "JudgesTrusted")
    assert types(made.status) == (*EVERY, *own)


def test_the_list_of_all_types_has_each_once() -> None:
    assert TYPES == EVERY
    assert CONDITION_TYPES[: len(EVERY)] == EVERY
    assert {"Healthy", "GatesPassed"} <= set(CONDITION_TYPES)
    assert len(set(CONDITION_TYPES)) == len(CONDITION_TYPES)


@pytest.mark.parametrize("kind", KINDS)
def test_kubectl_explain_names_every_condition_of_the_kind(kind: Kind) -> None:
    status = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    common, *own = status["properties"]["conditions"]["description"].rstrip(".").split("; ")
    assert tuple(common.split(", ")) == EVERY
    assert dict(one.split(": ") for one in own) == API_KINDS[kind].status.own_conditions
