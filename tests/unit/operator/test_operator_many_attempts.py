"""A run of more attempts than its status lists: budgets, hours and numbers go on as if it listed them all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.observations import NOW, edited, launches, observed, step, with_child, with_pod

from fabula_api.fine_tune_status import ATTEMPTS_LISTED as LISTED
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.seen.observed import Observed

HOUR = timedelta(hours=1)


def tune_status(seen: Observed) -> FineTuneRunStatus:
    status = seen.run.status
    assert isinstance(status, FineTuneRunStatus)
    return status


def preempted(seen: Observed, times: int, now: datetime = NOW, *, keep_children: bool = False) -> Observed:
    """So many attempts are made, each of an hour, and the node is taken away; then the next wait is over."""
    for _ in range(times):
        seen, made = step(seen, now)
        if not launches(made):
            break
        seen = with_child(seen, created_at=now)
        now += HOUR
        gone = {"phase": "Failed", "finished_at": now, "disrupted": "PreemptionByScheduler"}
        seen, _ = step(with_child(with_pod(seen, **gone), failed=True), now)
        now += HOUR
        if not keep_children:
            seen = replace(seen, children=(), pods=())
    return seen


@pytest.mark.parametrize("keep_children", [False, True], ids=["children gone", "children kept"])
def test_a_budget_larger_than_the_list_ends_too_and_no_hour_is_forgotten(keep_children: bool) -> None:
    budget = LISTED + 10
    spec: dict[str, Any] = {"retries": {"infrastructure": budget}, "topology": {"gpusPerNode": 8}}
    seen = preempted(observed("FineTuneRun", spec), budget + 5, keep_children=keep_children)
    status = tune_status(seen)
    assert (status.state, status.reason) == ("Failed", "PreemptionByScheduler")
    assert status.failure is not None
    assert f"attempt {budget + 1}; retries.infrastructure" in status.failure.message
    assert [one.number for one in status.attempts] == list(range(budget + 2 - LISTED, budget + 2))
    assert status.gpu_hours is not None
    assert (status.gpu_hours.used, status.gpu_hours.wasted) == (8 * (budget + 1), 8 * (budget + 1))
    assert status.earlier_attempts is not None
    assert status.earlier_attempts.count == budget + 1 - LISTED


def test_an_edit_gives_fresh_budgets_whatever_was_forgotten() -> None:
    spec: dict[str, Any] = {"retries": {"infrastructure": 1000}, "topology": {"gpusPerNode": 1}}
    many = LISTED + 5
    seen = preempted(observed("FineTuneRun", spec), many)
    earlier = tune_status(seen).earlier_attempts
    assert earlier is not None
    assert earlier.infrastructure == 6  # one more is listed, which is due
    seen = edited(seen, retries={"infrastructure": LISTED + 2})
    later = NOW + 2 * many * HOUR
    seen = preempted(seen, LISTED + 1, later)
    assert tune_status(seen).state != "Failed"
    earlier = tune_status(seen).earlier_attempts
    assert earlier is not None
    assert earlier.count > many
    seen = preempted(seen, LISTED, later + 2 * many * HOUR)
    status = tune_status(seen)
    assert status.failure is not None
    assert f"attempt {many + LISTED + 3}; retries.infrastructure" in status.failure.message
    assert status.gpu_hours is not None
    assert status.gpu_hours.used == many + LISTED + 3
