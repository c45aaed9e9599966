"""Runs in a queue: suspended until Kueue admits them, over when it evicts them, gone when a person holds them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.observations import (
    NOW,
    child_of,
    complete,
    condition,
    edited,
    launches,
    observed,
    pod_of,
    reported,
    step,
    with_child,
    written,
)

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.actions import DeleteChild, EnsureChild, Plan
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed

LATER = NOW + timedelta(hours=1)


def queued(**spec: Any) -> Observed:
    """A run whose child waits in its queue."""
    return step(observed("FineTuneRun", {"queue": "gpus", **spec}))[0]


def admitted(seen: Observed) -> Observed:
    """Kueue starts the child, and its pod runs."""
    seen = with_child(seen, suspended=False, started_at=LATER)
    return replace(seen, pods=(*seen.pods, pod_of(seen.children[-1])))


def evicted(seen: Observed) -> Observed:
    """Kueue suspends the child, and its pods are gone."""
    return with_child(replace(seen, pods=()), suspended=True)


def attempts(seen: Observed | Plan) -> list[tuple[int, str, str | None, str | None]]:
    status = seen.status if isinstance(seen, Plan) else seen.run.status
    assert isinstance(status, FineTuneRunStatus)
    return [(one.number, one.state, one.reason, one.budget) for one in status.attempts]


@pytest.mark.parametrize(
    ("situation", "kueue", "said", "words"),
    [
        ("nothing is known", True, None, "waits for queue gpus"),
        ("Kueue says why", True, "insufficient unused quota for nvidia.com/gpu", "insufficient unused quota"),
        ("Kueue is not there", False, None, "Kueue is not installed"),
    ],
    ids=lambda value: value if isinstance(value, str) and " is " in value else "",
)
def test_a_queued_run_says_what_it_waits_for(situation: str, kueue: bool, said: str | None, words: str) -> None:
    seen = queued()
    seen = replace(seen, environment=replace(seen.environment, kueue=kueue))
    if said:
        seen = replace(seen, admissions={seen.children[0].uid: said})
    seen, made = step(seen, LATER)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Pending", "QueueNotAdmitted")
    assert condition(made.status, "Running") == ("False", "QueueNotAdmitted")
    assert words in next(one.message for one in made.status.conditions if one.type == "Running")
    assert made.status.progress is not None
    assert made.status.progress.summary == "QueueNotAdmitted"
    assert made.actions == ()
    assert plan(seen, LATER + timedelta(hours=5)).status == seen.run.status


def test_an_admitted_run_counts_its_hours_from_its_admission() -> None:
    seen, made = step(admitted(queued(topology={"gpusPerNode": 8})), LATER)
    assert made.status is not None
    assert made.status.state == "Running"
    done = with_child(complete(seen), finished_at=LATER + timedelta(hours=1))
    made = plan(done, LATER + timedelta(hours=1))
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.gpu_hours is not None
    assert made.status.gpu_hours.used == pytest.approx(8)
    assert made.status.attempts[0].started_at == "2026-03-01T13:00:00Z"


def test_an_evicted_attempt_is_over_at_nobodys_charge_and_the_next_queues_anew() -> None:
    seen, _ = step(reported(admitted(queued()), 60, done=4, total=9), LATER)
    stopping = with_child(seen, suspended=True)
    made = plan(stopping, LATER)
    assert made.status is not None
    assert made.status.reason == "QueueEvicted"
    assert made.actions == ()
    seen, made = step(evicted(seen), LATER)
    assert attempts(made) == [(1, "Suspended", "QueueEvicted", None), (2, "Pending", None, None)]
    assert [type(action) for action in made.actions] == [DeleteChild]
    _, made = step(replace(seen, children=()), LATER)
    (launch,) = launches(made)
    assert (launch.attempt, launch.queue) == (2, "gpus")


@pytest.mark.parametrize("running", [False, True], ids=["in the queue", "at work"])
def test_suspending_takes_the_run_out_of_its_queue_and_resuming_queues_it_again(running: bool) -> None:
    seen = admitted(queued()) if running else queued()
    seen, made = step(edited(step(seen, LATER)[0], suspend=True), LATER)
    assert made.status is not None
    assert made.status.state == "Suspended"
    assert [type(action) for action in made.actions] == [DeleteChild]
    assert attempts(made)[0] == (1, "Suspended", "Suspended", None)
    # A crash before the deletion, and Kueue admits it meanwhile: it is deleted again.
    assert DeleteChild in [type(action) for action in plan(admitted(seen), LATER).actions]
    gone = replace(seen, children=(), pods=())
    gone, made = step(gone, LATER)
    assert made.actions == ()
    _, made = step(edited(gone, suspend=False), LATER)
    assert [(launch.attempt, launch.queue) for launch in launches(made)] == [(2, "gpus")]


def test_a_run_that_is_too_late_leaves_its_queue() -> None:
    made = plan(queued(deadline="30m"), LATER)
    assert made.status is not None
    assert made.status.reason == "DeadlineExceeded"
    assert [type(action) for action in made.actions] == [DeleteChild]


def carried_out(seen: Observed, made: Plan, crash_after: int | None) -> Observed:
    seen = written(seen, made)
    for action in made.actions[:crash_after]:
        if isinstance(action, EnsureChild) and action.launch.child not in {one.name for one in seen.children}:
            seen = replace(seen, children=(*seen.children, child_of(action.launch)))
        elif isinstance(action, DeleteChild):
            left = tuple(one for one in seen.children if one.uid != action.child.uid)
            seen = replace(seen, children=left)
    return seen


HAPPENINGS = ("admit", "evict", "pods go", "suspend", "resume", "nothing")


def happened(seen: Observed, what: str) -> Observed:
    """The world after something happened to it; impossible things change nothing."""
    children = {child.uid for child in seen.children}
    if what == "pods go":
        # Those of children that are suspended or gone have committed and stopped.
        held = {child.uid for child in seen.children if child.suspended}
        left = tuple(pod for pod in seen.pods if pod.owner_uid in children - held)
        return replace(seen, pods=left)
    if what in ("suspend", "resume"):
        return edited(seen, suspend=what == "suspend")
    if seen.children and what == "evict":
        return with_child(seen, suspended=True)
    if seen.children and what == "admit" and seen.children[-1].suspended and not seen.children[-1].terminal:
        seen = with_child(seen, suspended=False, started_at=NOW)
        own = {pod.owner_uid for pod in seen.pods}
        child = seen.children[-1]
        return seen if child.uid in own else replace(seen, pods=(*seen.pods, pod_of(child)))
    return seen


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.sampled_from([None, None, 0])), max_size=25))
def test_whatever_queue_and_people_do_attempts_never_overlap_cost_nothing_and_end(steps: Any) -> None:
    seen, now = observed("FineTuneRun", {"queue": "gpus"}), NOW
    for what, crash_after in steps:
        made = plan(seen, now)
        alive = {pod.owner_uid for pod in seen.pods}
        for launch in launches(made):
            assert alive <= {f"uid-{launch.child}"}
        seen = happened(carried_out(seen, made, crash_after), what)
        assert len({pod.owner_uid for pod in seen.pods}) <= 1
        now += timedelta(minutes=1)
    seen = edited(seen, suspend=False)
    for _ in range(12):
        now += timedelta(minutes=10)
        seen = carried_out(seen, plan(seen, now), None)
        seen = happened(happened(seen, "pods go"), "admit")
        if seen.pods and seen.run.status.state == "Running":
            seen = complete(seen)
    assert seen.run.status.state == "Succeeded"
    assert isinstance(seen.run.status, FineTuneRunStatus)
    assert {one.budget for one in seen.run.status.attempts} == {None}
