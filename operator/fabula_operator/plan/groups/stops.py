"""A group that is stopped, or that its queue does not let start: by a suspended spec, or by Kueue."""

from __future__ import annotations

from dataclasses import replace

from fabula_api.fine_tune_status import Attempt
from fabula_api.status import StageStatus
from fabula_operator.plan.actions import DeleteChild, SuspendChild
from fabula_operator.plan.groups.attempts import changed, last_end, repeated
from fabula_operator.plan.groups.group import Group, last_report, running_status, with_start
from fabula_operator.plan.groups.restarts import next_attempt
from fabula_operator.plan.seen.api_objects import Child, running
from fabula_operator.plan.seen.observed import Report, Waiting
from fabula_operator.plan.stages.figures import figures
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.times import timestamp


def queued(group: Group, attempt: Attempt, child: Child) -> StageView:
    """A child that Kueue has not admitted, or has evicted; or one that has to leave its queue.

    An evicted attempt is over at nobody's charge. Admitted again, its child would start other pods under the same
    number, so the next attempt has a child of its own.
    """
    alive = running(group.seen.pods_of(child))
    status = running_status(group, child)
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
    over = _suspended(with_start(attempt, child), reason, end)
    group = replace(group, attempts=changed(group.attempts, over))
    if group.suspend:
        leave = DeleteChild(child, "the run is suspended, and its queue must not admit it")
        status = status.replace(eta=None)
        return StageView(group.stage, None, status, attempts=group.attempts, actions=(leave,))
    return next_attempt(group)


def stopping(group: Group, attempt: Attempt, child: Child) -> StageView:
    """Stop the attempt's pods; once they are gone the attempt is over."""
    pods = group.seen.pods_of(child)
    attempt = with_start(attempt, child)
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
    return next_attempt(group)


def _last_words(group: Group, child: Child) -> tuple[StageStatus, dict[int, Report]]:
    """The figures of an attempt that is stopped, and its last report, which tells what its ranks saved in the end."""
    said = last_report(group, child)
    reports = {} if said is None else {0: said}
    status = figures(running_status(group, child), group.stage, child, (), reports)
    return status.replace(eta=None), reports


def _suspended(attempt: Attempt, reason: str, end: str) -> Attempt:
    return attempt.replace(state="Suspended", reason=reason, message=repeated(attempt), finished_at=end)
