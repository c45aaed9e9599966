"""The ends of a run: refused, succeeded, failed; and what is left to do after them."""

from __future__ import annotations

from datetime import datetime

from fabula_api.status import FailureDigest, Progress, RunStatus
from fabula_operator.plan.acceptance.refusal import Accepted, Refusal
from fabula_operator.plan.actions import DeleteRun, Plan
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.lifecycle.accept import accept
from fabula_operator.plan.lifecycle.conclude import conclude
from fabula_operator.plan.lifecycle.stops import halt
from fabula_operator.plan.lifecycle.time_limits import seconds_to_live
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.status import conditions as condition
from fabula_operator.plan.times import parse_time, timestamp

STRAGGLER_SECONDS = 60.0
"""A PyTorchJob has succeeded once its master has. So long the other ranks may take to end beside it."""


def _left_over(seen: Observed) -> bool:
    return any(not pod.terminal or pod.beside for pod in seen.pods)


def refuse(seen: Observed, refusal: Refusal, now: datetime) -> Plan:
    """The run fails before anything of it starts, and what an earlier spec started stops."""
    digest = FailureDigest(reason=refusal.reason, message=refusal.message[:4096])
    status = (
        KINDS[seen.run.identity.kind]
        .begin(seen.run.status, refusal.estimate)
        .replace(
            state="Failed",
            reason=refusal.reason,
            failure=digest,
            progress=Progress(summary=refusal.reason),
            finished_at=timestamp(now),
        )
    )
    phase = condition.refused(refusal.reason, refusal.message)
    return conclude(seen, None, Plan(status, halt(seen)), phase, now)


def succeed(seen: Observed, accepted: Accepted, status: RunStatus, now: datetime) -> Plan:
    """All stages are done."""
    former, kind, spec = seen.run.status, KINDS[seen.run.identity.kind], accepted.spec
    left = kind.left(status)
    again = former.state == "Succeeded"
    status = status.replace(
        state="Succeeded",
        reason=left[0][0] if left else None,
        failure=None,
        # An edit that leaves every stage as it was did not make the run start again.
        started_at=former.started_at if again else status.started_at,
        finished_at=former.finished_at if again else timestamp(now),
    )
    outcome = kind.outcome(status)
    message = "; ".join([outcome, *(what for _, what in left)])
    # What was left has a column of its own, the reason.
    status = status.replace(progress=Progress(percent=100, summary=outcome[:120]))
    waits = [seconds_to_live(spec), STRAGGLER_SECONDS if _left_over(seen) else None]
    draft = Plan(status, requeue_after=min((wait for wait in waits if wait is not None), default=None))
    phase = condition.succeeded(message, "DryRun" if kind.dry_run(spec) else "Succeeded")
    return conclude(seen, accepted, draft, phase, now)


def fail(seen: Observed, accepted: Accepted | None, status: RunStatus, failure: FailureDigest, now: datetime) -> Plan:
    """The run fails, and what still runs stops."""
    stages = [
        stage.replace(state="Pending", eta=None) if stage.state == "Running" else stage for stage in status.stages
    ]
    status = KINDS[seen.run.identity.kind].stopped(status, failure, timestamp(now))
    percent = status.progress.percent if status.progress else None
    status = status.replace(
        state="Failed",
        reason=failure.reason,
        failure=failure,
        stages=stages,
        progress=Progress(percent=percent, summary=f"{failure.stage or 'run'}: {failure.reason}"[:120]),
        finished_at=timestamp(now),
    )
    phase = condition.failed(failure.reason, failure.message)
    due = None if accepted is None else seconds_to_live(accepted.spec)
    return conclude(seen, accepted, Plan(status, halt(seen), requeue_after=due), phase, now)


def end_unreadable(seen: Observed, error: str, now: datetime) -> Plan:
    """The run fails for what its pods or children say, which no plan can be made of; it holds up nobody else."""
    message = (
        f"what this run's pods or children say cannot be made into a status ({error}), twice in a row; "
        "see the operator's log for the place, and check that the worker image belongs to this operator's version"
    )
    return fail(seen, None, seen.run.status, FailureDigest(reason="ResultUnreadable", message=message), now)


def after_the_end(seen: Observed, now: datetime) -> Plan:
    """Nothing is left to do but to stop stragglers, and to go when the time to live is over."""
    accepted = accept(seen)
    ttl = seconds_to_live(accepted.spec) if isinstance(accepted, Accepted) else None
    finished = parse_time(seen.run.status.finished_at)
    if finished is None:
        return Plan()
    age = (now - finished).total_seconds()
    if ttl is not None and age >= ttl:
        return Plan(actions=(DeleteRun(),))
    waits = [] if ttl is None else [ttl - age]
    succeeded = seen.run.status.state == "Succeeded"
    if succeeded and age < STRAGGLER_SECONDS and _left_over(seen):
        waits.append(STRAGGLER_SECONDS - age)
    actions = () if succeeded and age < STRAGGLER_SECONDS else halt(seen)
    return Plan(actions=actions, requeue_after=min(waits, default=None))
