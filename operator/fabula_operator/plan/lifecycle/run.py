"""The life of a run of any kind: accepted or refused, waiting, at work, suspended, finished, expired.

`plan` is the one entry: it reads top to bottom as that life.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from fabula_api.outside import camel_reason
from fabula_api.status import Lineage, Progress, RunStatus
from fabula_operator.plan.acceptance.refusal import Accepted, Refusal
from fabula_operator.plan.acceptance.spec import RECIPE_BROKEN
from fabula_operator.plan.actions import Action, DeleteChild, EnsureChild, Plan, SuspendChild
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.lifecycle.accept import accept
from fabula_operator.plan.lifecycle.conclude import conclude
from fabula_operator.plan.lifecycle.ending import after_the_end, fail, refuse, succeed
from fabula_operator.plan.lifecycle.stops import pods_left, released, stop, superseded
from fabula_operator.plan.lifecycle.time_limits import deadline_exceeded, deadline_of, seconds_left, unheard, waited
from fabula_operator.plan.lifecycle.walk import Walk, pending, resolved, walk
from fabula_operator.plan.seen.api_objects import running
from fabula_operator.plan.seen.held_pods import by_their_workers
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.stages.figures import overall
from fabula_operator.plan.stages.references import resolve_externals, with_digests
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.status import conditions as condition
from fabula_operator.plan.times import timestamp


def plan(seen: Observed, now: datetime) -> Plan:
    """Next actions and status of a run. Pure: the same observation gives the same plan."""
    run = seen.run
    if run.deleting:
        return Plan()
    seen = by_their_workers(seen, now)
    if run.status.finished_at is not None and run.status.observed_generation == run.generation:
        return after_the_end(seen, now)
    accepted = accept(seen)
    if isinstance(accepted, Refusal):
        return _hold(seen, accepted, now) if accepted.reason == RECIPE_BROKEN else refuse(seen, accepted, now)
    spec = accepted.spec
    inputs = resolve_externals(seen, spec)
    kind = KINDS[run.identity.kind]
    backend = kind.backend(spec, run.status, seen.environment.pytorch_jobs)
    for obstacle in (kind.awaits(seen, spec), inputs, backend):
        if isinstance(obstacle, Waiting):
            return _wait(seen, accepted, obstacle, now)
    assert not isinstance(inputs, Waiting)
    assert not isinstance(backend, Waiting)
    before = kind.begin(_reopened(run.status), accepted.estimate)
    views = walk(Walk(seen, spec, accepted.stages, before, inputs, backend[0], now))
    status = _with_stages(before, views, with_digests(inputs, resolved(views)))
    if backend[1] is not None:
        status = status.replace(backend=backend[1])
    status = kind.fold(status, spec, views, seen.environment.gpu_hour_usd)
    broken = next((view.failure for view in views if view.failure), None)
    if all(view.done for view in views):
        broken = kind.verdict(status)
        if broken is None:
            return succeed(seen, accepted, status, now)
    if broken is not None:
        return fail(seen, accepted, status, broken, now)
    if (over := deadline_of(spec, status)) and now >= over:
        return fail(seen, accepted, status, deadline_exceeded(spec), now)
    if spec.suspend:
        return _suspend(seen, accepted, status, views, now)
    return _work(seen, accepted, status, views, now)


def _reopened(status: RunStatus) -> RunStatus:
    """What a run starts from whose spec was edited after it had finished: everything but its end."""
    if status.finished_at is None:
        return status
    return status.replace(finished_at=None, started_at=None, failure=None, reason=None)


def _with_stages(status: RunStatus, views: list[StageView], inputs: list[Lineage]) -> RunStatus:
    return status.replace(
        stages=[view.status for view in views],
        lineage=_lineage(status.lineage, views, inputs),
        progress=_progress(views),
    )


def _lineage(known: list[Lineage], views: list[StageView], inputs: list[Lineage]) -> list[Lineage]:
    """What came from outside the run, by name: artifacts of other runs, and what workers say they read."""
    names = {entry.name for entry in inputs}
    stage_names = {view.stage.name for view in views}
    entries = {entry.name: entry for entry in known if entry.run is None or entry.name in names}
    entries |= {entry.name: entry for entry in inputs}
    for view in views:
        for entry in view.result.lineage if view.result is not None else ():
            if entry.name.partition("/")[0] in stage_names:
                continue
            # A worker knows the digest of what it read; the operator knows which run made it.
            former = entries.get(entry.name)
            same = former is not None and former.digest in (None, entry.digest)
            run = entry.run or (former.run if former is not None and same else None)
            entries[entry.name] = entry.replace(run=run)
    return sorted(entries.values(), key=lambda entry: entry.name)[:64]


def _progress(views: list[StageView]) -> Progress:
    units = {view.stage.name: view.stage.unit for view in views}
    return overall([view.status for view in views], units)


def _wait(seen: Observed, accepted: Accepted, waiting: Waiting, now: datetime) -> Plan:
    """Nothing can start yet; pods that run on what is no longer ready are left alone."""
    before = KINDS[seen.run.identity.kind].begin(_reopened(seen.run.status), accepted.estimate)
    status = before.replace(
        state="Pending",
        reason=waiting.reason,
        stages=pending(accepted.stages, accepted.spec, before),
        progress=Progress(percent=0, summary=waiting.reason),
    )
    if accepted.spec.suspend:
        status = status.replace(state="Suspended", reason="SuspendedBySpec")
        return conclude(seen, accepted, Plan(status), condition.suspended(waiting.message), now)
    phase = condition.waiting(waiting.reason, waiting.message, stalled=waiting.stalled)
    return conclude(seen, accepted, Plan(status), phase, now)


def _hold(seen: Observed, refusal: Refusal, now: datetime) -> Plan:
    """It is the installation that has to be mended: nothing starts until then, and what runs is left alone."""
    before = KINDS[seen.run.identity.kind].begin(_reopened(seen.run.status), refusal.estimate)
    status = before.replace(
        state=before.state or "Pending",
        reason=refusal.reason,
        progress=(before.progress or Progress()).replace(summary=refusal.reason, eta=None),
    )
    phase = condition.waiting(refusal.reason, refusal.message, stalled=True)
    phase = replace(phase, accepted=("Unknown", refusal.reason, refusal.message))
    return conclude(seen, None, Plan(status), phase, now)


def _suspend(seen: Observed, accepted: Accepted, status: RunStatus, views: list[StageView], now: datetime) -> Plan:
    actions = [action for view in views for action in view.actions]
    asked = {action.child.uid for action in actions if isinstance(action, SuspendChild | DeleteChild)}
    # A group whose pods have all ended is about to say how; stopped now, it never would.
    ended = {
        view.child.uid
        for view in views
        if view.stage.shape == "group"
        and view.child
        and seen.pods_of(view.child)
        and not pods_left(seen, view.child.uid)
    }
    for child in seen.children:
        if not (child.terminal or child.deleting or child.uid in asked | ended):
            actions += stop(child)
    alive = running(seen.pods)
    count = "1 pod" if len(alive) == 1 else f"{len(alive)} pods"
    message = f"waiting for {count} to finish what is in hand" if alive else "no pod runs"
    progress = (status.progress or Progress()).replace(eta=None)
    status = status.replace(state="Suspended", reason="SuspendedBySpec", failure=None, progress=progress)
    draft = Plan(status, tuple(actions), requeue_after=seconds_left(accepted.spec, status, now))
    return conclude(seen, accepted, draft, condition.suspended(message), now)


def _work(seen: Observed, accepted: Accepted, status: RunStatus, views: list[StageView], now: datetime) -> Plan:
    actions: list[Action] = [action for view in views for action in view.actions]
    actions += superseded(seen, views)
    actions += released(seen, actions)
    stages = list(status.stages)
    for position, view in enumerate(views):
        if view.launch is not None:
            actions.append(EnsureChild(view.launch))
            started = stages[position].started_at or timestamp(now)
            stages[position] = stages[position].replace(state="Running", started_at=started)
        elif view.child is not None and view.child.suspended and view.stage.shape != "group":
            actions.append(SuspendChild(view.child, False))
    launched = any(stage.started_at for stage in stages)
    started_at = status.started_at or (timestamp(now) if launched else None)
    blocked = seen.obstacle or _blocked(views)
    retrying = next((view.retrying for view in views if view.retrying), None)
    at = "+".join(sorted({stage.name for stage in stages if stage.state == "Running"}))
    units = {view.stage.name: view.stage.unit for view in views}
    status = status.replace(stages=stages, started_at=started_at, failure=None, progress=overall(stages, units))
    if blocked is not None:
        progress = status.progress or Progress()
        if progress.done is None:
            # Before its first figure a cell of `kubectl get` says more by what the run waits for.
            progress = progress.replace(summary=blocked.reason)
        status = status.replace(state="Pending", reason=blocked.reason, progress=progress)
        still = waited(seen, blocked, now)
        phase = condition.waiting(blocked.reason, blocked.message)
    else:
        still = unheard(seen, accepted.spec, views, now)
        held = next((view.held for view in views if view.held), None) or _held(views)
        reason = "Retrying" if retrying else held.reason if held else None
        status = status.replace(state="Running", reason=reason)
        phase = condition.at_work(reason or "AtWork", retrying or (held.message if held else f"stage {at}"))
    if still.condition is not None:
        phase = replace(phase, stalled=still.condition)
    due = [*(view.requeue_after for view in views), seconds_left(accepted.spec, status, now)]
    untold = [*(view.retell_after for view in views), still.look_again]
    draft = Plan(
        status,
        tuple(actions),
        requeue_after=_first(due),
        retell_after=_first(untold),
        unexplained=tuple(view.unexplained for view in views if view.unexplained),
    )
    return conclude(seen, accepted, draft, phase, now, at_work=views)


def _first(seconds: Iterable[float | None]) -> float | None:
    return min((wait for wait in seconds if wait is not None), default=None)


def _held(views: list[StageView]) -> Waiting | None:
    """What a worker says keeps it from going on, such as a provider that throttles; the first shard's of several."""
    for view in views:
        conditions = {
            shard: report.body.condition for shard, report in view.reports.items() if report.body.condition is not None
        }
        if not conditions:
            continue
        # A shard that has reached its budget is at its end; what holds up the others can pass.
        first = min(conditions, key=lambda shard: (not conditions[shard].reason.startswith("Provider"), shard))
        same = sum(other.reason == conditions[first].reason for other in conditions.values())
        message = conditions[first].message
        if view.child is not None and view.child.size > 1:
            more = f" and {same - 1} more" if same > 1 else ""
            message = f"shard {first}{more} of {view.child.size}: {message}"
        return Waiting(camel_reason(conditions[first].reason), message)
    return None


def _blocked(views: list[StageView]) -> Waiting | None:
    """What the run waits for, when none of its stages gets anywhere."""
    active = [view for view in views if view.launch or view.child or view.waiting or view.actions]
    if any(view.waiting is None for view in active):
        return None
    return next((view.waiting for view in active if view.waiting), None)
