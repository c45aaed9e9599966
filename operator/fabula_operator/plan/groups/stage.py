"""A stage of ranks that live and die together: which attempt is due, and how the one at work stands."""

from __future__ import annotations

from dataclasses import replace

from fabula_api.fine_tune_status import Attempt
from fabula_api.status import FailureDigest
from fabula_api.worker import WorkerResult
from fabula_operator.plan.groups.attempts import (
    Cause,
    cause_of,
    changed,
    ended,
    heard,
    heard_late,
    last_end,
    resumed_step,
    word_awaited,
)
from fabula_operator.plan.groups.group import OPEN, Group, begun_at, last_report, running_status, with_start
from fabula_operator.plan.groups.restarts import attempt_over, next_attempt
from fabula_operator.plan.groups.stops import queued, stopping
from fabula_operator.plan.money.gpu_hours import OVER
from fabula_operator.plan.seen.api_objects import Child, running
from fabula_operator.plan.seen.held_pods import held_back
from fabula_operator.plan.seen.observed import Report
from fabula_operator.plan.seen.unstarted import late
from fabula_operator.plan.stages.figures import figures, finished_figures, reports_of
from fabula_operator.plan.stages.results import flaw, result_of, unreadable
from fabula_operator.plan.stages.view import StageView, succeeded_status
from fabula_operator.plan.stages.watchdog import Health, Watched, examine
from fabula_operator.plan.times import timestamp


def group_stage(group: Group) -> StageView:
    """How the group stands, and what to do for it."""
    group = replace(group, attempts=_told_late(group, _adopted(group)))
    current = group.attempts[-1] if group.attempts else None
    if current is None or current.state not in OPEN:
        return next_attempt(group)
    child = group.child(current.number)
    if child is None:
        if current.state == "Pending":
            # Nothing was made of it yet: it is due anew, under the spec as it is now, whose budgets pay.
            return next_attempt(replace(group, attempts=group.attempts[:-1]))
        if (former := group.superseded(current.number)) is not None:
            return next_attempt(replace(group, attempts=changed(group.attempts, _edited(group, current, former))))
        lost = FailureDigest(
            reason="ChildDeleted", message="its child was deleted from outside", stage=group.stage.name
        )
        return attempt_over(group, current, Cause(lost, "infrastructure", False))
    pods = group.seen.pods_of(child)
    if (said := last_report(group, child)) is not None:
        current = current.replace(**heard(current, said.body))
        group = replace(group, attempts=changed(group.attempts, current))
    if child.complete:
        return _complete(group, current, child)
    # First how it ended by itself, for a suspension that comes later changes nothing about that.
    cause = None if child.suspended else cause_of(child, pods)
    awaited = word_awaited(cause, pods, group.now) if cause else None
    if cause and awaited is None:
        return attempt_over(group, current, cause, child)
    settling = bool(pods) and not running(pods)
    if child.queue is not None and (child.suspended or (group.suspend and not settling)):
        return queued(group, current, child)
    if child.suspended or (group.suspend and not settling):
        return stopping(group, current, child)
    return _at_work(group, current, child, awaited)


def _at_work(group: Group, current: Attempt, child: Child, awaited: float | None) -> StageView:
    """How an attempt stands whose pods run, or are on their way; `awaited` are the seconds for which the word of the
    rank that ended it is waited for."""
    pods = group.seen.pods_of(child)
    status = running_status(group, child)
    reports = reports_of(child, pods, group.seen.reports)
    status = figures(status, group.stage, child, pods, reports, group.run.step_seconds)
    unheard = not reports and current.last_step is None
    if unheard:
        # The time left that the former attempt told is not this one's.
        status = status.replace(eta=None)
    at_work = current.replace(state="Running", started_at=current.started_at or timestamp(begun_at(child) or group.now))
    health = _health(group, at_work, reports.get(0))
    policy = group.run.watchdog.policy
    if health.finding is not None and health.finding.acts and policy != "warn":
        cause = Cause(health.finding.digest(group.stage.name), "failure", policy == "fail")
        return attempt_over(replace(group, attempts=changed(group.attempts, at_work)), at_work, cause, child)
    # Ranks wait for each other, so one that is missing holds up all; once they report, they have met.
    behind = late(group.seen, child, group.now, all_needed=unheard)
    held, due = held_back(group.seen, child, group.now)
    waits = (awaited, health.look_again, due)
    return StageView(
        group.stage,
        None,
        status,
        child=child,
        reports=reports,
        waiting=behind.waiting,
        held=held,
        unexplained=behind.subject,
        retrying=_starting(group, current) if unheard else None,
        attempts=changed(group.attempts, at_work),
        requeue_after=min((wait for wait in waits if wait is not None), default=None),
        retell_after=behind.look_again,
        health=health,
    )


def _health(group: Group, attempt: Attempt, report: Report | None) -> Health:
    since, steps = group.seen.environment.listening_since, group.status.total
    watched = Watched(report, attempt.last_step, group.run.step_seconds, since, steps)
    return examine(group.run.watchdog, watched, group.now)


def _adopted(group: Group) -> tuple[Attempt, ...]:
    """The recorded attempts, and those of children of the present key that a crash left unrecorded."""
    attempts = group.attempts
    known = {attempt.number for attempt in attempts}
    forgotten = group.run.earlier.count if group.run.earlier else 0
    for child in sorted(group.seen.children, key=lambda child: child.attempt):
        of_stage = child.stage == group.stage.name and child.key == group.launch.key
        if of_stage and child.attempt > forgotten and child.attempt not in known:
            attempts = changed(attempts, group.attempt(child.attempt, child.generation))
    return attempts


def _told_late(group: Group, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts, those that are over with what their pods have told since."""
    reports = {
        report.body.attempt: report.body for report in group.seen.reports if report.body.stage == group.stage.name
    }
    return tuple(
        heard_late(attempt, reports[attempt.number]) if attempt.state in OVER and attempt.number in reports else attempt
        for attempt in attempts
    )


def _edited(group: Group, attempt: Attempt, child: Child) -> Attempt:
    """An attempt at what the spec does not ask for any more. How it ended by itself before the edit stands."""
    pods = group.seen.pods_of(child)
    attempt, end = with_start(attempt, child), timestamp(last_end(pods, group.now))
    if child.complete:  # it was through, and what it committed is there for whoever asks for it again
        return attempt.replace(state="Succeeded", finished_at=end)
    if not child.suspended and (cause := cause_of(child, pods)) is not None:
        return ended(attempt, cause, end)
    return attempt.replace(state="Failed", reason="SpecEdited", finished_at=end)


def _starting(group: Group, attempt: Attempt) -> str | None:
    """What there is to say of a further attempt until it is heard of, which is once the model is loaded."""
    former = next((earlier for earlier in reversed(group.attempts) if earlier.number < attempt.number), None)
    if former is None or former.reason is None:
        return None
    return f"attempt {attempt.number} is starting; the former one ended with {former.reason}"


def _complete(group: Group, attempt: Attempt, child: Child) -> StageView:
    pods = group.seen.pods_of(child)
    end = timestamp(child.finished_at or last_end(pods, group.now))
    attempt = with_start(attempt, child)
    first = next((pod for pod in pods if pod.index == 0 and pod.phase == "Succeeded"), None)
    if first is None:
        lost = FailureDigest(reason="ResultLost", message="the pod is gone, and its result with it", stage=child.stage)
        return attempt_over(group, attempt, Cause(lost, "infrastructure", False), child)
    why = flaw(first, group.stage, foreign=group.run.foreign)
    # A trainer of another kind knows nothing of results: its exit code says that it is done.
    result = result_of(first) or WorkerResult(outcome="Succeeded")
    if why is None and result.artifact is None and not group.run.foreign:
        why = "its result names no artifact"
    if why is not None:
        failed = group.status.replace(state="Failed", eta=None, finished_at=end)
        broken = attempt.replace(state="Failed", reason="ResultUnreadable", finished_at=end)
        attempts = changed(group.attempts, broken)
        return StageView(
            group.stage,
            None,
            failed,
            child=child,
            failure=unreadable(group.stage.name, first, why),
            attempts=attempts,
        )
    resumed = resumed_step([first])
    status = finished_figures(running_status(group, child), group.stage, result)
    done = attempt.replace(
        state="Succeeded",
        finished_at=end,
        resumed_from_step=attempt.resumed_from_step if resumed is None else resumed,
        last_step=status.done,
    )
    launch = replace(group.launch, attempt=attempt.number)
    status = succeeded_status(status, launch, result, end)
    return StageView(group.stage, None, status, child=child, result=result, attempts=changed(group.attempts, done))
