"""What a plan rests on, and so what has to be read by itself before the plan is carried out.

Plans are made from what watches told. What they told is there was there; what they have not told of may be there all
the same, because each kind is watched by itself. So a plan that only goes on from what is there needs nothing more: its
status is written onto the version that it was made from, and a child's name collides with one that is there already. A
plan that rests on something not being there, or ends something for good, is made again from reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.specs import DEFAULT
from fabula_operator.plan.actions import DeleteChild, EnsureChild, Plan, SuspendChild
from fabula_operator.plan.groups.group import group_name
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.seen.observed import Observed, Run
from fabula_operator.render.names import child_name


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a plan needs read by itself."""

    run: bool = False
    """No status is written onto the version that the plan was made from, so nothing else shows that it is the last."""
    references: bool = False
    """The run is about to begin, or to fail, with what the runs that it names have made."""
    pods: bool = False
    """A child or pod that is not known of would change the plan."""

    def __or__(self, other: Evidence) -> Evidence:
        return Evidence(self.run or other.run, self.references or other.references, self.pods or other.pods)


def evidence(seen: Observed, wanted: Plan) -> Evidence:
    """What the plan made of `seen` rests on."""
    status = seen.run.status
    starts = [action.launch for action in wanted.actions if isinstance(action, EnsureChild)]
    begins = bool(starts) and (status.started_at is None or status.finished_at is not None)
    fails = wanted.status is not None and wanted.status.state == "Failed" and status.state != "Failed"
    return Evidence(
        run=bool(wanted.actions) and not _writes(seen, wanted),
        references=bool(seen.references) and (begins or fails),
        pods=any(isinstance(action, DeleteChild | SuspendChild) for action in wanted.actions)
        or (fails and _has_begun(seen))
        or _ends_an_attempt(seen.run, wanted)
        or any(launch.attempt > 1 for launch in starts)
        # An edit may have left pods behind that still write where the new ones would.
        or (bool(starts) and seen.run.generation > 1 and _has_begun(seen)),
    )


def expected_children(run: Run) -> tuple[str, ...]:
    """Names of children that the status says are at work."""
    attempts = KINDS[run.identity.kind].attempts(run.status)
    group = group_name(run.identity.kind, str(run.spec.get("recipe", DEFAULT)))
    return tuple(
        child_name(run.identity.name, stage.name, None, stage.key, attempt.number)
        for stage in run.status.stages
        for attempt in attempts
        if stage.name == group and stage.key and attempt.open
    )


def _writes(seen: Observed, wanted: Plan) -> bool:
    return wanted.status is not None and wanted.status.to_wire() != seen.run.status.to_wire()


def _has_begun(seen: Observed) -> bool:
    return seen.run.status.started_at is not None or bool(seen.children)


def _ends_an_attempt(run: Run, wanted: Plan) -> bool:
    """Whether an attempt is over that did not do its work: what it ended by may not have been told yet."""
    if wanted.status is None:
        return False
    kind = KINDS[run.identity.kind]
    before = {attempt.number: attempt.state for attempt in kind.attempts(run.status)}
    return any(
        attempt.state in ("Failed", "Suspended") and before.get(attempt.number) != attempt.state
        for attempt in kind.attempts(wanted.status)
    )
