"""What follows the end of an attempt: the run fails, or the next one starts once it may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from fabula_api.fine_tune_status import Attempt
from fabula_operator.plan.actions import Action, DeleteChild
from fabula_operator.plan.groups.attempts import Cause, backoff_seconds, changed, ended, last_end
from fabula_operator.plan.groups.group import Group, with_start
from fabula_operator.plan.seen.api_objects import Child, running
from fabula_operator.plan.seen.observed import Waiting
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.times import parse_time, timestamp

TWIN_SECONDS = 5.0
"""How often a run looks whether another one, which makes the same, is through: a look of memory, without a write."""


def next_attempt(group: Group) -> StageView:
    """The former attempt is over (or there was none): record the next one, and start it once it may."""
    last = group.attempts[-1] if group.attempts else None
    number = last.number + 1 if last else 1
    attempt = group.attempt(number, group.seen.run.generation)
    view = _start(replace(group, attempts=changed(group.attempts, attempt)), attempt)
    twin = group.seen.twin(group.launch.key)
    if not group.suspend and twin is None:
        return view
    # None is due: the one that will be belongs to the spec that resumes it, and an open one would claim the artifact.
    view = replace(view, launch=None, attempts=group.attempts, retell_after=None)
    if view.waiting is None and twin is not None:
        message = f"FineTuneRun {twin} makes the same of the same inputs; this run takes what it commits"
        view = replace(view, waiting=Waiting("WaitingForSameWork", message), requeue_after=TWIN_SECONDS)
    return view


def _start(group: Group, attempt: Attempt) -> StageView:
    """Start a recorded attempt when no pod of a former one is left and the wait is over."""
    former = [earlier for earlier in group.attempts if earlier.number < attempt.number]
    status = group.status
    if former and status.started_at:
        status = status.replace(state="Running")
    status = status.replace(eta=None)
    view = StageView(group.stage, None, status, attempts=group.attempts)
    leftovers: list[Action] = [
        DeleteChild(child, "its attempt is over")
        for child in group.seen.children
        if child.attempt < attempt.number and not child.deleting and (not child.terminal or _alive(group, child))
    ]
    alive = running(group.seen.pods)
    if leftovers or alive:
        what = ", ".join(pod.name for pod in alive[:3]) or "its child"
        waiting = Waiting("Restarting", f"attempt {attempt.number} waits until the former one is gone: {what}")
        return replace(view, actions=tuple(leftovers), waiting=waiting)
    if former and (end := parse_time(former[-1].finished_at)):
        due_at = end + timedelta(seconds=backoff_seconds(former, group.seen.environment.retry_backoff_seconds))
        if group.now < due_at and not group.suspend:
            message = (
                f"attempt {attempt.number} starts at {timestamp(due_at)}; the former one ended with {former[-1].reason}"
            )
            return replace(
                view, waiting=Waiting("Restarting", message), requeue_after=(due_at - group.now).total_seconds()
            )
    due = group.seen.environment.patience_seconds
    return replace(view, launch=replace(group.launch, attempt=attempt.number), retell_after=due)


def attempt_over(group: Group, attempt: Attempt, cause: Cause, child: Child | None = None) -> StageView:
    """The attempt failed: fail the run, or go on with the next one."""
    pods = group.seen.pods_of(child) if child else ()
    end = timestamp(last_end(pods, group.now))
    attempts = changed(group.attempts, ended(with_start(attempt, child), cause, end))
    group = replace(group, attempts=attempts)
    if cause.final or group.exhausted(cause.budget):
        failed = group.status.replace(state="Failed", eta=None, finished_at=end)
        digest = cause.digest
        if not cause.final:
            message = f"{digest.message} (attempt {attempt.number}; retries.{cause.budget} allows no further one)"
            digest = digest.replace(message=message[:4096])
        return StageView(group.stage, None, failed, child=child, failure=digest, attempts=attempts)
    return next_attempt(group)


def _alive(group: Group, child: Child) -> bool:
    return any(not pod.terminal or pod.beside for pod in group.seen.pods_of(child))
