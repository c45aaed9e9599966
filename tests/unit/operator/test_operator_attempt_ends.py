"""How an attempt of a group ended, who pays for it, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import (
    DIGEST,
    NOW,
    condition,
    edited,
    failed_saying,
    launches,
    observed,
    reported,
    step,
    with_child,
    with_pod,
)

from fabula_api.fine_tune_status import Attempt, CheckpointStatus, FineTuneRunStatus
from fabula_api.worker import GRACE_TOO_SHORT, PEER_LOST, RESUMED_METRIC
from fabula_operator.plan.actions import DeleteChild
from fabula_operator.plan.groups.attempts import PEER_WAIT_SECONDS, backoff_seconds
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.lifecycle.standing import Standing, standing
from fabula_operator.plan.seen.api_objects import Pod
from fabula_operator.plan.seen.observed import Observed

TWO_NODES = {"backend": "PyTorchJob", "topology": {"nodes": 2, "gpusPerNode": 2, "device": "cpu"}}
LATER = NOW + timedelta(minutes=5)


def status(seen: Observed) -> FineTuneRunStatus:
    found = seen.run.status
    assert isinstance(found, FineTuneRunStatus)
    return found


def at_work(**spec: Any) -> Observed:
    """Two nodes, both pods running, step 7 of 12 reported with a checkpoint of step 6."""
    seen, _ = step(step(observed("FineTuneRun", {**TWO_NODES, **spec}))[0])
    checkpoint = {"uri": "file:///c", "step": 6, "digest": DIGEST, "committedAt": "2026-03-01T12:00:30Z"}
    seen = reported(seen, 60, done=7, total=12, metrics={"loss": 2.0}, checkpoint=checkpoint)
    pods = {pod.name: pod for pod in seen.pods}
    first = min(pods.values(), key=lambda pod: pod.index)
    report = replace(seen.reports[-1], body=seen.reports[-1].body.replace(shard=0), pod=first.name)
    return step(replace(seen, reports=(report,)), NOW + timedelta(minutes=1))[0]


def ending(seen: Observed, index: int, message: str | None = None, **how: Any) -> Observed:
    """The pod of a node has ended."""
    ended = {"phase": "Failed", "exit_code": 1, "finished_at": LATER, "termination_message": message, **how}
    pods = (replace(pod, **ended) if pod.index == index else pod for pod in seen.pods)
    return replace(seen, pods=tuple(pods))


def first_attempt(seen: Observed, minutes: float = 0) -> Attempt:
    """The first attempt after another look."""
    return status(step(seen, LATER + timedelta(minutes=minutes))[0]).attempts[0]


def test_a_pod_deleted_from_outside_ends_the_attempt_before_its_controller_makes_it_anew() -> None:
    seen, made = step(with_pod(at_work(), deleting=True), LATER)
    first, second = status(seen).attempts
    assert (first.state, first.reason, first.budget) == ("Failed", "PodDeleted", "infrastructure")
    assert second.state == "Pending"
    assert [type(action) for action in made.actions] == [DeleteChild]


def test_a_pod_that_leaves_as_disrupted_says_by_what() -> None:
    found = first_attempt(with_pod(at_work(), deleting=True, disrupted="PreemptionByScheduler"))
    assert (found.reason, found.budget) == ("PreemptionByScheduler", "infrastructure")


def test_the_rank_that_began_it_is_waited_for_and_named() -> None:
    seen = with_child(ending(at_work(), 0, failed_saying(PEER_LOST, rank=0)), failed=True)
    waiting = plan(seen, LATER + timedelta(seconds=1))
    assert waiting.requeue_after == pytest.approx(PEER_WAIT_SECONDS - 1)
    assert first_attempt(seen).state == "Running"
    both = ending(seen, 1, failed_saying("RankKilled", "rank 3 was killed by SIGKILL", rank=3))
    found = first_attempt(both)
    assert (found.state, found.reason, found.budget) == ("Failed", "RankKilled", "failure")
    # A launcher that never speaks holds nothing up.
    assert first_attempt(seen, minutes=1).reason == PEER_LOST


def test_ranks_that_lost_a_pod_which_is_gone_do_not_pay_for_it() -> None:
    seen = with_child(ending(at_work(), 0, failed_saying(PEER_LOST)), failed=True)
    alone = replace(seen, pods=tuple(pod for pod in seen.pods if pod.index == 0))
    found = first_attempt(replace(alone, pods=(*alone.pods, _leaving(seen.pods[1]))))
    assert (found.reason, found.budget) == ("PodLost", "infrastructure")


def _leaving(pod: Pod) -> Pod:
    return replace(pod, deleting=True, phase="Running")


def test_a_grace_period_too_short_to_save_is_not_the_runs_failure() -> None:
    message = failed_saying(GRACE_TOO_SHORT, "killed before its ranks had saved")
    seen = ending(ending(at_work(), 0, message, exit_code=137), 1, message, exit_code=137)
    found = first_attempt(with_child(seen, failed=True, finished_at=LATER))
    # All pods have ended and the child says so.
    assert (found.reason, found.budget) == (GRACE_TOO_SHORT, "infrastructure")


def test_a_crash_is_charged_even_if_the_run_is_suspended_a_moment_later() -> None:
    seen = ending(ending(at_work(), 0), 1)
    suspended, made = step(edited(seen, suspend=True), LATER)
    assert made.actions == ()
    assert status(suspended).attempts[0].state == "Running"  # until the controller says how it ended
    found = first_attempt(with_child(suspended, failed=True, finished_at=LATER))
    assert (found.state, found.budget) == ("Failed", "failure")


def test_a_crash_is_charged_even_if_the_spec_is_edited_a_moment_later() -> None:
    seen = with_child(ending(ending(at_work(), 0), 1), failed=True, finished_at=LATER)
    found = first_attempt(edited(seen, training={"learningRate": 1e-5}))
    assert (found.reason, found.budget) == ("Crashed", "failure")


def test_a_suspended_attempt_tells_which_steps_are_repeated() -> None:
    seen, _ = step(edited(at_work(), suspend=True), LATER)
    gone = with_child(replace(seen, pods=()), suspended=True)
    found = first_attempt(gone)
    assert (found.state, found.message) == (
        "Suspended", "its pods ended at step 7, and the last checkpoint is of step 6",
    )  # fmt: skip


def test_every_report_tells_where_an_attempt_began() -> None:
    seen = at_work()
    body = seen.reports[0].body.replace(done=9, metrics={"loss": 1.0, RESUMED_METRIC: 6.0})
    found = first_attempt(replace(seen, reports=(replace(seen.reports[0], body=body),)))
    assert (found.resumed_from_step, found.last_step) == (6, 9)


def test_an_attempt_that_is_starting_shows_no_time_left_of_the_former_one() -> None:
    seen = with_child(ending(ending(at_work(), 0), 1), failed=True, finished_at=LATER)
    assert status(seen).stages[0].eta is not None
    for minutes in (6, 12):
        seen, made = step(seen, NOW + timedelta(minutes=minutes))
    assert status(seen).stages[0].eta is None
    seen, made = step(seen, NOW + timedelta(minutes=13))
    assert (status(seen).state, status(seen).reason) == ("Running", "Retrying")
    assert condition(made.status, "Running") == ("True", "Retrying")


def attempts(*committed: int | None) -> list[Attempt]:
    return [
        Attempt(number=number, state="Failed", committed_step=step) for number, step in enumerate(committed, start=1)
    ]


@pytest.mark.parametrize(
    ("situation", "made", "seconds"),
    [
        ("the first failure", attempts(None), 10),
        ("three in a row without a checkpoint", attempts(None, None, None), 40),
        ("the last one committed a checkpoint", attempts(None, None, 5), 10),
        ("one after it did not", attempts(None, 5, None), 20),
        ("none yet", [], 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_wait_doubles_only_where_no_progress_is_made(situation: str, made: list[Attempt], seconds: float) -> None:
    assert backoff_seconds(made, 10) == seconds


@pytest.mark.parametrize(
    ("situation", "spec", "state", "attempt", "stands"),
    [
        ("suspended, and its pods are stopping", {"suspend": True}, "Running", 2, Standing(stop=True, heard=True)),
        ("at work", {}, "Running", 2, Standing(stop=False, heard=True)),
        ("an attempt before the last, whose last pod is stopping", {}, "Running", 1, Standing(stop=True, heard=True)),
        ("over", {}, "Failed", 2, Standing(stop=True, heard=False)),
        ("over, and suspended since", {"suspend": True}, "Succeeded", 2, Standing(stop=True, heard=False)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_pods_save_in_the_end_is_heard(
    situation: str, spec: dict[str, Any], state: str, attempt: int, stands: Standing
) -> None:
    attempts = [Attempt(number=number, state="Running") for number in (1, 2)]
    status = FineTuneRunStatus(state=state, attempts=attempts, observed_generation=1)  # type: ignore[arg-type]
    run = replace(observed("FineTuneRun").run, spec=spec, status=status)
    assert standing(run, "train", "train", attempt) == stands


def test_pods_of_a_run_that_is_over_and_was_edited_since_are_not_asked_to_end() -> None:
    status = FineTuneRunStatus(state="Failed", observed_generation=1)
    run = replace(observed("FineTuneRun").run, status=status)
    assert standing(run, "train", "train", 1).stop
    assert standing(replace(run, generation=2), "train", "train", 1) == Standing(stop=False, heard=True)
    assert standing(replace(run, deleting=True), "train", "train", 1).stop


def test_a_checkpoint_saved_while_stopping_is_on_the_resource() -> None:
    seen, _ = step(edited(at_work(), suspend=True), LATER)
    saved = {"uri": "file:///c", "step": 8, "digest": DIGEST, "committedAt": "2026-03-01T12:05:00Z"}
    body = seen.reports[0].body.replace(done=8, checkpoint=CheckpointStatus.model_validate(saved))
    last = replace(seen.reports[0], body=body, received_at=LATER)
    seen, _ = step(with_child(replace(seen, pods=(), reports=(last,)), suspended=True), LATER)
    (attempt,) = status(seen).attempts
    assert (attempt.state, attempt.committed_step, attempt.message) == ("Suspended", 8, None)
    checkpoint = status(seen).checkpoint
    assert checkpoint is not None
    assert checkpoint.step == 8
    progress = status(seen).progress
    assert progress is not None
    assert (progress.done, progress.eta, progress.summary) == (8, None, "step 8/12")


def test_while_suspended_no_attempt_is_due_and_the_next_one_is_charged_to_the_spec_that_starts_it() -> None:
    seen, _ = step(edited(at_work(), suspend=True), LATER)
    seen = with_child(replace(seen, pods=()), suspended=True)
    for _ in range(3):
        seen, made = step(seen, LATER)
        assert [one.state for one in status(seen).attempts] == ["Suspended"]
    assert [type(action) for action in made.actions] == [DeleteChild]
    seen, made = step(edited(replace(seen, children=()), suspend=False), LATER)
    assert [(one.number, one.state, one.generation) for one in status(seen).attempts][1:] == [(2, "Pending", 3)]
    assert [launch.attempt for launch in launches(made)] == [2]


def test_an_attempt_that_waits_while_the_spec_is_edited_is_charged_to_the_edited_spec() -> None:
    seen = with_child(ending(ending(at_work(), 0), 1), failed=True, finished_at=LATER)
    seen, _ = step(seen, LATER)
    assert [one.state for one in status(seen).attempts] == ["Failed", "Pending"]
    seen, _ = step(edited(seen, retries={"failure": 1}), LATER + timedelta(minutes=10))
    seen, _ = step(seen, LATER + timedelta(minutes=20))
    assert [one.generation for one in status(seen).attempts] == [1, 2]


@pytest.mark.parametrize(
    ("situation", "done", "saved", "told"),
    [
        ("its other node has committed a checkpoint since", 9, 9, (9, 9)),
        ("its other node trains on and commits nothing", 11, 6, (7, 6)),
        ("an old report comes again", 3, 3, (7, 6)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_attempt_that_is_over_may_still_tell_of_a_checkpoint(
    situation: str, done: int, saved: int, told: tuple[int, int]
) -> None:
    seen = with_child(ending(at_work(), 1), failed=True, finished_at=LATER)
    seen, _ = step(seen, LATER)
    assert [one.state for one in status(seen).attempts] == ["Failed", "Pending"]
    checkpoint = {"uri": "file:///c", "step": saved, "digest": DIGEST, "committedAt": "2026-03-01T12:06:00Z"}
    body = seen.reports[0].body.replace(done=done, checkpoint=CheckpointStatus.model_validate(checkpoint))
    seen, _ = step(replace(seen, reports=(replace(seen.reports[0], body=body, received_at=LATER),)), LATER)
    attempt = status(seen).attempts[0]
    assert (attempt.last_step, attempt.committed_step, attempt.state) == (*told, "Failed")
