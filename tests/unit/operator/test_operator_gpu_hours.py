"""GPU hours used and wasted over attempts, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.observations import (
    DIGEST,
    NOW,
    launches,
    observed,
    reported,
    said,
    step,
    with_child,
    with_pod,
)

from fabula_api.fine_tune_status import Attempt, FineTuneRunStatus, GpuHours
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.money.gpu_hours import _hours, gpu_hours
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.times import timestamp

LATER = NOW + timedelta(minutes=10)


def tune_status(seen: Observed) -> FineTuneRunStatus:
    status = seen.run.status
    assert isinstance(status, FineTuneRunStatus)
    return status


def ended(seen: Observed, **pod: Any) -> Observed:
    """The attempt at work failed, and its child says so."""
    fields = {"phase": "Failed", "finished_at": NOW, **pod}
    return with_child(with_pod(seen, **fields), failed=True)


def test_gpu_hours_count_every_attempt_and_the_steps_that_were_repeated() -> None:
    spec = {"topology": {"gpusPerNode": 8}}
    seen, _ = step(observed("FineTuneRun", spec))
    hour = NOW + timedelta(hours=1)
    seen, _ = step(reported(seen, 3600, done=100, total=126))
    seen, _ = step(ended(seen, disrupted="Preempted", finished_at=hour), hour)
    seen, made = step(seen, hour + timedelta(minutes=10))
    assert [launch.gpus for launch in launches(made)] == [8]
    child = replace(seen.children[-1], created_at=hour, complete=True, finished_at=hour + timedelta(hours=1))
    message = said(artifact={"uri": "file:///a", "digest": DIGEST}, summary={"resumedFromStep": 62})
    seen = with_pod(
        replace(seen, children=(*seen.children[:-1], child)), phase="Succeeded", termination_message=message
    )
    made = plan(seen, hour + timedelta(hours=2))
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.gpu_hours is not None
    assert made.status.gpu_hours.used == pytest.approx(16, abs=0.01)
    assert made.status.gpu_hours.wasted == pytest.approx(8 * 0.38, abs=0.01)


def test_what_came_after_the_last_checkpoint_is_wasted_as_soon_as_the_attempt_fails() -> None:
    seen, _ = step(observed("FineTuneRun", {"topology": {"gpusPerNode": 8}, "gpuHourUsd": 2}))
    # Committed after 45 minutes; the attempt dies after an hour.
    checkpoint = {"uri": "file:///c", "step": 62, "digest": DIGEST, "committedAt": "2026-03-01T12:45:00Z"}
    hour = NOW + timedelta(hours=1)
    seen, _ = step(reported(seen, 3000, done=80, total=126, metrics={"loss": 2.0}, checkpoint=checkpoint))
    seen, _ = step(ended(seen, disrupted="Preempted", finished_at=hour), hour)
    hours = tune_status(seen).gpu_hours
    assert hours is not None
    assert (hours.used, hours.wasted, tune_status(seen).cost_usd) == (8.0, 2.0, 16.0)
    assert [(one.state, one.duration) for one in tune_status(seen).attempts] == [("Failed", "1h00m"), ("Pending", None)]
    # The next one says that it goes on from an older checkpoint: so more was done in vain.
    seen, _ = step(seen, LATER + timedelta(hours=1))
    seen, _ = step(reported(seen, 7200, done=31, total=126))
    hours = tune_status(seen).gpu_hours
    assert tune_status(seen).attempts[1].resumed_from_step == 31
    assert hours is not None
    assert hours.wasted == pytest.approx(8 * (1 - 31 / 80), abs=1e-4)


def test_what_an_attempt_has_used_stays_when_an_operator_has_heard_nothing_yet() -> None:
    spec = {"topology": {"gpusPerNode": 8}, "gpuHourUsd": 2}
    seen, _ = step(observed("FineTuneRun", spec))
    seen, made = step(reported(seen, 3600, done=100, total=126))
    restarted = plan(replace(seen, reports=()), NOW + timedelta(hours=1))
    for one in (made.status, restarted.status):
        assert isinstance(one, FineTuneRunStatus)
        assert one.gpu_hours == GpuHours(used=8, wasted=0)
        assert one.cost_usd == 16


def test_ranks_on_cpus_use_no_gpu_hours_and_cost_nothing() -> None:
    seen, _ = step(observed("FineTuneRun", {"gpuHourUsd": 2}))
    seen, _ = step(reported(seen, 3600, done=80, total=126))
    assert tune_status(seen).gpu_hours == GpuHours(used=0, wasted=0)
    assert tune_status(seen).cost_usd is None


@pytest.mark.parametrize(
    ("spec", "prices", "cost"),
    [({}, {}, None), ({}, {"A": 3.0}, 24.0), ({"gpuHourUsd": 1.5}, {"A": 3.0}, 12.0), ({}, {"B": 3.0}, None)],
    ids=["no price", "the operator's", "the run's own", "of another product"],
)
def test_the_price_of_a_gpu_hour(spec: dict[str, Any], prices: dict[str, float], cost: float | None) -> None:
    seen = observed("FineTuneRun", {"topology": {"gpusPerNode": 8, "product": "A"}, **spec})
    seen, _ = step(replace(seen, environment=replace(seen.environment, gpu_hour_usd=prices)))
    seen, _ = step(reported(seen, 3600, done=80, total=126))
    assert tune_status(seen).cost_usd == cost


ATTEMPTS = st.lists(
    st.builds(
        lambda state, begun, hours, steps, saved, share, resumed: Attempt(
            number=1,
            state=state,
            started_at=timestamp(NOW + timedelta(hours=begun)),
            finished_at=timestamp(NOW + timedelta(hours=begun + hours)),
            last_step=steps,
            committed_step=saved,
            committed_at=timestamp(NOW + timedelta(hours=begun + hours * share)) if saved else None,
            resumed_from_step=resumed,
        ),
        st.sampled_from(["Failed", "Suspended", "Succeeded"]),
        st.integers(0, 5), st.integers(0, 10), st.none() | st.integers(0, 99), st.none() | st.integers(1, 99),
        st.floats(-1, 2), st.none() | st.integers(0, 99),
    ),
    max_size=6,
)  # fmt: skip


@given(attempts=ATTEMPTS, gpus=st.integers(0, 64))
def test_never_more_is_wasted_than_used(attempts: list[Attempt], gpus: int) -> None:
    hours = gpu_hours(attempts, gpus, None)
    assert 0 <= hours.wasted <= hours.used + 1e-6
    assert hours.used == pytest.approx(gpus * sum(_hours(one, None) for one in attempts), abs=1e-3)
