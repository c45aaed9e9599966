"""A stage of ranks that live and die together: which attempt is due, and how the one at work stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fabula_api.fine_tune_run import Attempt, FineTuneRunSpec
from fabula_api.recipes import Stage
from fabula_api.shared_spec import Retries
from fabula_api.status import FailureDigest, StageStatus
from fabula_api.worker import WorkerResult
from fabula_operator.plan.actions import Action, DeleteChild, SuspendChild
from fabula_operator.plan.attempts import (
    Cause,
    backoff_seconds,
    cause_of,
    changed,
    ended,
    exhausted,
    heard,
    heard_late,
    last_end,
    repeated,
    resumed_step,
    word_awaited,
)
from fabula_operator.plan.children import Child, parse_time, running
from fabula_operator.plan.conditions import timestamp
from fabula_operator.plan.gpu_hours import OVER
from fabula_operator.plan.job_stage import stuck, unreadable
from fabula_operator.plan.observed import Observed, Report, Waiting
from fabula_operator.plan.progress import figures, finished_figures, reports_of
from fabula_operator.plan.results import result_of
from fabula_operator.plan.stage_view import StageView, succeeded_status
from fabula_operator.plan.watchdog import Health, Watched, examine
from fabula_operator.render.launch import Launch

OPEN = ("Pending", "Running")
TWIN_SECONDS = 5.0
"""How often a run looks whether another one, which makes the same, is through: a look of memory, without a write."""


@dataclass(frozen=True, slots=True)
class Group:
    """What the questions below are asked about."""

    seen: Observed
    stage: Stage
    launch: Launch
    """As for attempt 1; the number is filled in."""
    status: StageStatus
    attempts: tuple[Attempt, ...]
    suspend: bool
    now: datetime

    @property
    def spec(self) -> FineTuneRunSpec:
        """The run's spec; only this kind has groups."""
        assert isinstance(self.launch.spec, FineTuneRunSpec)
        return self.launch.spec

    @property
    def retries(self) -> Retries:
        return self.launch.retries

    @property
    def step_seconds(self) -> float | None:
        """What a step usually takes, as far as former reports told."""
        metrics = getattr(self.seen.run.status, "metrics", None)
        return metrics.step_seconds if metrics else None

    def attempt(self, number: int, generation: int) -> Attempt:
        """An attempt that is due."""
        held = self.launch.gpus * self.launch.shards
        return Attempt(number=number, state="Pending", generation=generation, gpus=held)

    def child(self, number: int) -> Child | None:
        """The child of an attempt under the present key."""
        name = replace(self.launch, attempt=number).child
        return next((one for one in self.seen.children if one.name == name), None)

    def superseded(self, number: int) -> Child | None:
        """The child of an attempt under a key that was edited away."""
        own = (one for one in self.seen.children if one.stage == self.stage.name)
        return next((one for one in own if one.attempt == number), None)


def group_stage(group: Group) -> StageView:
    """How the group stands, and what to do for it."""
    group = replace(group, attempts=_told_late(group, _adopted(group)))
    current = group.attempts[-1] if group.attempts else None
    if current is None or current.state not in OPEN:
        return _next_attempt(group)
    child = group.child(current.number)
    if child is None:
        if current.state == "Pending":
            # Nothing was made of it yet: it is due anew, under the spec as it is now, whose budgets pay.
            return _next_attempt(replace(group, attempts=group.attempts[:-1]))
        if (former := group.superseded(current.number)) is not None:
            return _next_attempt(replace(group, attempts=changed(group.attempts, _edited(group, current, former))))
        lost = FailureDigest(
            reason="ChildDeleted", message="its child was deleted from outside", stage=group.stage.name
        )
        return _over(group, current, Cause(lost, "infrastructure", False))
    pods = group.seen.pods_of(child)
    if (said := _last_report(group, child)) is not None:
        current = current.model_copy(update=heard(current, said.body))
        group = replace(group, attempts=changed(group.attempts, current))
    if child.complete:
        return _complete(group, current, child)
    # First how it ended by itself, for a suspension that comes later changes nothing about that.
    cause = None if child.suspended else cause_of(child, pods)
    awaited = word_awaited(cause, pods, group.now) if cause else None
    if cause and awaited is None:
        return _over(group, current, cause, child)
    settling = bool(pods) and not running(pods)
    if child.queue is not None and (child.suspended or (group.suspend and not settling)):
        return _queued(group, current, child)
    if child.suspended or (group.suspend and not settling):
        return _suspend(group, current, child)
    status = _running(group, child)
    reports = reports_of(child, pods, group.seen.reports)
    status = figures(status, group.stage, child, pods, reports, group.step_seconds)
    unheard = not reports and current.last_step is None
    if unheard:
        # The time left that the former attempt told is not this one's.
        status = status.model_copy(update={"eta": None})
    at_work = current.model_copy(
        update={
            "state": "Running",
            "started_at": current.started_at or timestamp(_begun(child) or group.now),
        }
    )
    health = _health(group, at_work, reports.get(0))
    policy = group.spec.watchdog.policy
    if health.finding is not None and health.finding.acts and policy != "warn":
        cause = Cause(health.finding.digest(group.stage.name), "failure", policy == "fail")
        return _over(replace(group, attempts=changed(group.attempts, at_work)), at_work, cause, child)
    return StageView(
        group.stage,
        None,
        status,
        child=child,
        reports=reports,
        waiting=stuck(pods),
        retrying=_starting(group, current) if unheard else None,
        attempts=changed(group.attempts, at_work),
        requeue_after=min((one for one in (awaited, health.look_again) if one is not None), default=None),
        health=health,
    )


def _last_report(group: Group, child: Child) -> Report | None:
    """The attempt's newest report; the pod it came from may be gone since."""
    return max(
        (one for one in group.seen.reports if one.body.attempt == child.attempt and one.body.stage == child.stage),
        key=lambda one: one.received_at,
        default=None,
    )


def _health(group: Group, attempt: Attempt, report: Report | None) -> Health:
    since, steps = group.seen.environment.listening_since, group.status.total
    watched = Watched(report, attempt.last_step, group.step_seconds, since, steps)
    return examine(group.spec.watchdog, watched, group.now)


def _adopted(group: Group) -> tuple[Attempt, ...]:
    """The recorded attempts, and those of children of the present key that a crash left unrecorded."""
    attempts = group.attempts
    known = {one.number for one in attempts}
    for child in sorted(group.seen.children, key=lambda one: one.attempt):
        if child.stage == group.stage.name and child.key == group.launch.key and child.attempt not in known:
            attempts = changed(attempts, group.attempt(child.attempt, child.generation))
    return attempts


def _told_late(group: Group, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The attempts, those that are over with what their pods have told since."""
    reports = {one.body.attempt: one.body for one in group.seen.reports if one.body.stage == group.stage.name}
    return tuple(
        heard_late(one, reports[one.number]) if one.state in OVER and one.number in reports else one for one in attempts
    )


def _running(group: Group, child: Child) -> StageStatus:
    started = group.status.started_at or timestamp(child.created_at or group.now)
    return group.status.model_copy(update={"state": "Running", "started_at": started})


def _next_attempt(group: Group) -> StageView:
    """The former attempt is over (or there was none): record the next one, and start it once it may."""
    last = group.attempts[-1] if group.attempts else None
    number = last.number + 1 if last else 1
    attempt = group.attempt(number, group.seen.run.generation)
    view = _start(replace(group, attempts=changed(group.attempts, attempt)), attempt)
    twin = group.seen.twin(group.launch.key)
    if not group.suspend and twin is None:
        return view
    # None is due: the one that will be belongs to the spec that resumes it, and an open one would claim the artifact.
    view = replace(view, launch=None, attempts=group.attempts)
    if view.waiting is None and twin is not None:
        message = f"FineTuneRun {twin} makes the same of the same inputs; this run takes what it commits"
        view = replace(view, waiting=Waiting("WaitingForSameWork", message), requeue_after=TWIN_SECONDS)
    return view


def _start(group: Group, attempt: Attempt) -> StageView:
    """Start a recorded attempt when no pod of a former one is left and the wait is over."""
    former = [one for one in group.attempts if one.number < attempt.number]
    status = group.status
    if former and status.started_at:
        status = status.model_copy(update={"state": "Running"})
    status = status.model_copy(update={"eta": None})
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
        due = end + timedelta(seconds=backoff_seconds(former, group.seen.environment.retry_backoff_seconds))
        if group.now < due and not group.suspend:
            message = (
                f"attempt {attempt.number} starts at {timestamp(due)}; the former one ended with {former[-1].reason}"
            )
            return replace(
                view, waiting=Waiting("Restarting", message), requeue_after=(due - group.now).total_seconds()
            )
    return replace(view, launch=replace(group.launch, attempt=attempt.number))


def _edited(group: Group, attempt: Attempt, child: Child) -> Attempt:
    """An attempt at what the spec does not ask for any more. How it ended by itself before the edit stands."""
    pods = group.seen.pods_of(child)
    attempt, end = _started(attempt, child), timestamp(last_end(pods, group.now))
    if child.complete:  # it was through, and what it committed is there for whoever asks for it again
        return attempt.model_copy(update={"state": "Succeeded", "finished_at": end})
    if not child.suspended and (cause := cause_of(child, pods)) is not None:
        return ended(attempt, cause, end)
    return attempt.model_copy(update={"state": "Failed", "reason": "SpecEdited", "finished_at": end})


def _starting(group: Group, attempt: Attempt) -> str | None:
    """What there is to say of a further attempt until it is heard of, which is once the model is loaded."""
    former = next((one for one in reversed(group.attempts) if one.number < attempt.number), None)
    if former is None or former.reason is None:
        return None
    return f"attempt {attempt.number} is starting; the former one ended with {former.reason}"


def _alive(group: Group, child: Child) -> bool:
    return bool(running(group.seen.pods_of(child)))


def _over(group: Group, attempt: Attempt, cause: Cause, child: Child | None = None) -> StageView:
    """The attempt failed: fail the run, or go on with the next one."""
    pods = group.seen.pods_of(child) if child else ()
    end = timestamp(last_end(pods, group.now))
    attempts = changed(group.attempts, ended(_started(attempt, child), cause, end))
    group = replace(group, attempts=attempts)
    generation = group.seen.run.generation
    if cause.final or exhausted(attempts, cause.budget, generation, group.retries):
        failed = group.status.model_copy(update={"state": "Failed", "eta": None, "finished_at": end})
        digest = cause.digest
        if not cause.final:
            message = f"{digest.message} (attempt {attempt.number}; retries.{cause.budget} allows no further one)"
            digest = digest.model_copy(update={"message": message[:4096]})
        return StageView(group.stage, None, failed, child=child, failure=digest, attempts=attempts)
    return _next_attempt(group)


def _started(attempt: Attempt, child: Child | None) -> Attempt:
    begun = _begun(child) if child is not None else None
    if attempt.started_at or begun is None:
        return attempt
    return attempt.model_copy(update={"started_at": timestamp(begun)})


def _begun(child: Child) -> datetime | None:
    """When a child's pods were asked for; time in a queue takes no GPU."""
    return child.started_at if child.queue is not None else child.created_at


def _complete(group: Group, attempt: Attempt, child: Child) -> StageView:
    pods = group.seen.pods_of(child)
    end = timestamp(child.finished_at or last_end(pods, group.now))
    attempt = _started(attempt, child)
    first = next((pod for pod in pods if pod.index == 0 and pod.phase == "Succeeded"), None)
    if first is None:
        lost = FailureDigest(reason="ResultLost", message="the pod is gone, and its result with it", stage=child.stage)
        return _over(group, attempt, Cause(lost, "infrastructure", False), child)
    result = result_of(first)
    if result is None and group.spec.template.foreign:
        # A trainer of another kind knows nothing of results: its exit code says that it is done.
        result = WorkerResult(outcome="Succeeded")
    if result is None:
        failed = group.status.model_copy(update={"state": "Failed", "eta": None, "finished_at": end})
        broken = attempt.model_copy(update={"state": "Failed", "reason": "ResultUnreadable", "finished_at": end})
        attempts = changed(group.attempts, broken)
        return StageView(
            group.stage, None, failed, child=child, failure=unreadable(group.stage.name, 0), attempts=attempts
        )
    resumed = resumed_step([first])
    status = finished_figures(_running(group, child), group.stage, result)
    done = attempt.model_copy(
        update={
            "state": "Succeeded",
            "finished_at": end,
            "resumed_from_step": attempt.resumed_from_step if resumed is None else resumed,
            "last_step": status.done,
        }
    )
    launch = replace(group.launch, attempt=attempt.number)
    status = succeeded_status(status, launch, result, end)
    return StageView(group.stage, None, status, child=child, result=result, attempts=changed(group.attempts, done))


def _queued(group: Group, attempt: Attempt, child: Child) -> StageView:
    """A child that Kueue has not admitted, or has evicted; or one that has to leave its queue.

    An evicted attempt is over at nobody's charge. Admitted again, its child would start other pods under the same
    number, so the next attempt has a child of its own.
    """
    alive = running(group.seen.pods_of(child))
    status = _running(group, child)
    if not group.suspend:
        if attempt.state == "Pending" and not alive and not child.failed:
            said = group.seen.admissions.get(child.uid) or f"waits for queue {child.queue}"
            if not group.seen.environment.kueue:
                said += ", but Kueue is not installed in this cluster"
            waiting = Waiting("QueueNotAdmitted", said)
            return StageView(group.stage, None, status, child=child, waiting=waiting, attempts=group.attempts)
        if alive:
            waiting = Waiting("QueueEvicted", f"queue {child.queue} evicts it: pod {alive[0].name} commits and stops")
            return StageView(group.stage, None, status, child=child, waiting=waiting, attempts=group.attempts)
    end = timestamp(last_end(group.seen.pods_of(child), group.now))
    reason = "Suspended" if group.suspend else "QueueEvicted"
    over = _suspended(_started(attempt, child), reason, end)
    group = replace(group, attempts=changed(group.attempts, over))
    if group.suspend:
        leave = DeleteChild(child, "the run is suspended, and its queue must not admit it")
        status = status.model_copy(update={"eta": None})
        return StageView(group.stage, None, status, attempts=group.attempts, actions=(leave,))
    return _next_attempt(group)


def _last_words(group: Group, child: Child) -> tuple[StageStatus, dict[int, Report]]:
    """The figures of an attempt that is stopped, and its last report, which tells what its ranks saved in the end."""
    said = _last_report(group, child)
    reports = {} if said is None else {0: said}
    status = figures(_running(group, child), group.stage, child, (), reports)
    return status.model_copy(update={"eta": None}), reports


def _suspended(attempt: Attempt, reason: str, end: str) -> Attempt:
    return attempt.model_copy(
        update={"state": "Suspended", "reason": reason, "message": repeated(attempt), "finished_at": end}
    )


def _suspend(group: Group, attempt: Attempt, child: Child) -> StageView:
    """Stop the attempt's pods; once they are gone the attempt is over."""
    pods = group.seen.pods_of(child)
    attempt = _started(attempt, child)
    status, reports = _last_words(group, child)
    view = StageView(group.stage, None, status, child=child, reports=reports, attempts=group.attempts)
    if not child.suspended:
        return replace(view, attempts=changed(group.attempts, attempt), actions=(SuspendChild(child, True),))
    if running(pods):
        waiting = Waiting("Suspending", f"pod {running(pods)[0].name} commits and stops")
        return replace(view, waiting=waiting)
    end = timestamp(last_end(pods, group.now))
    over = _suspended(attempt, "Suspended", end)
    group = replace(group, attempts=changed(group.attempts, over))
    if group.suspend:
        return replace(view, child=None, attempts=group.attempts)
    return _next_attempt(group)
