"""Walks a recipe's stages in order: which are done, which are at work, which may start. The same for every kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from fabula_api.base import value_at
from fabula_api.entries import Entry, entries, instance
from fabula_api.externals import unresolved
from fabula_api.recipes import Stage
from fabula_api.status import Lineage, RunStatus, StageStatus
from fabula_api.worker import Spec, StageInput
from fabula_operator.plan.groups.group import OPEN, Group
from fabula_operator.plan.groups.stage import group_stage
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.lifecycle.launching import launch_of, too_large
from fabula_operator.plan.seen.api_objects import running
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.stages.job import job_stage
from fabula_operator.plan.stages.key import Work, place_key, stage_key
from fabula_operator.plan.stages.references import external_inputs, with_digests
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.times import timestamp
from fabula_operator.render.launch import Backend, Launch


@dataclass(frozen=True, slots=True)
class Walk:
    """What walking the stages needs to know."""

    seen: Observed
    spec: Spec
    stages: tuple[Stage, ...]
    status: RunStatus
    """What is remembered: finished stages and attempts."""
    lineage: list[Lineage]
    """Inputs from outside, resolved."""
    backend: Backend
    now: datetime


def pending(stages: tuple[Stage, ...], spec: Spec, status: RunStatus) -> list[StageStatus]:
    """The stages of a run that cannot start yet: what is remembered of them, else Pending."""
    known = {stage.name: stage for stage in status.stages}
    return [
        known.get(name) or StageStatus(name=name, state="Skipped" if skipped(stage, spec) else "Pending")
        for stage in stages
        for name, _ in instances(stage, spec)
    ]


def instances(stage: Stage, spec: Spec) -> list[tuple[str, Entry | None]]:
    """(name, arm or judge) for each time the stage runs; nothing for one that would have nothing to find out."""
    if stage.resolves and not unresolved(spec):
        return []
    if stage.for_each is not None:
        return [(instance(stage.name, entry.name), entry) for entry in entries(stage, spec)]
    return [(stage.name, None)]


def skipped(stage: Stage, spec: Spec) -> bool:
    """Whether the spec leaves the stage out."""
    if stage.skip_unless is None:
        return False
    field, values = stage.skip_unless
    return value_at(spec, field) not in values


def walk(this: Walk) -> list[StageView]:
    """How every stage stands, in order."""
    views: list[StageView] = []
    known = {stage.name: stage for stage in this.status.stages}
    for stage in this.stages:
        ready = all(view.done for view in views if view.stage.name in stage.after)
        for name, arm in instances(stage, this.spec):
            arm_name = arm.name if arm else None
            if skipped(stage, this.spec):
                views.append(StageView(stage, arm_name, StageStatus(name=name, state="Skipped")))
            elif not ready:
                views.append(StageView(stage, arm_name, StageStatus(name=name)))
            else:
                views.append(_stage(this, stage, name, arm, known.get(name), views))
    return views


def _stage(
    this: Walk, stage: Stage, name: str, arm: Entry | None, known: StageStatus | None, before: list[StageView]
) -> StageView:
    work = Work(stage, this.spec, arm, _inputs(this, stage, arm, before), this.seen.environment.artifact_root)
    key = stage_key(work)
    if known is not None and known.key == key:
        if known.state == "Succeeded":
            return StageView(stage, work.entry_name, known)
        status = known if known.state == "Running" else StageStatus(name=name, key=key)
    else:
        status = StageStatus(name=name, key=key)
    bounded = {view.status.name for view in before if view.stage.extent}
    launch = launch_of(this.seen, work, this.backend, key, place_key(work, bounded))
    if (still := _still_writing(this.seen, launch)) is not None:
        return StageView(stage, launch.arm, status, waiting=still)
    if stage.shape != "group":
        return _startable(this, job_stage(this.seen, stage, launch, status, this.now))
    remembered = KINDS[this.seen.run.identity.kind].remembered(this.spec, this.status)
    assert remembered is not None, f"stage {name} is a group, which runs of this kind do not remember"
    group = Group(
        this.seen,
        stage,
        launch,
        status,
        attempts=remembered.attempts,
        run=remembered,
        suspend=this.spec.suspend,
        now=this.now,
    )
    return _startable(this, group_stage(group))


def _startable(this: Walk, view: StageView) -> StageView:
    """The view, failed before a child exists where no process could be told what to do."""
    failure = too_large(view.launch, this.seen.environment.artifact_root) if view.launch else None
    if failure is None:
        return view
    status = view.status.replace(state="Failed", eta=None, finished_at=timestamp(this.now))
    # An attempt that never had a child is none.
    attempts = (
        None if view.attempts is None else tuple(attempt for attempt in view.attempts if attempt.state not in OPEN)
    )
    return replace(view, launch=None, status=status, failure=failure, attempts=attempts)


def _inputs(this: Walk, stage: Stage, arm: Entry | None, before: list[StageView]) -> tuple[StageInput, ...]:
    inputs = []
    for view in before:
        if view.stage.name in stage.after and view.status.artifact is not None:
            artifact = view.status.artifact
            inputs.append(StageInput(name=view.status.name, uri=artifact.uri, digest=artifact.digest))
    lineage = with_digests(this.lineage, resolved(before))
    inputs += external_inputs(stage, arm.name if arm else None, this.spec, lineage)
    return tuple(inputs)


def resolved(views: list[StageView]) -> dict[str, str]:
    """Digests that `resolve` has found, by lineage name."""
    return {name: digest for view in views for name, digest in (view.status.digests or {}).items()}


def _still_writing(seen: Observed, launch: Launch) -> Waiting | None:
    """Two Jobs may not pay for the items of one folder at once: the one before must have let its pods go."""
    if launch.key.startswith(f"sha256:{launch.output.rpartition('/')[2]}"):
        return None  # nothing that can change leaves the folder as it is
    of_launch = {child.uid for child in seen.children if child.name == launch.child}
    former = {
        child.uid for child in seen.children if child.stage != launch.stage or child.arm != launch.arm
    } | of_launch
    if any(pod.owner_uid not in former for pod in running(seen.pods)):
        return Waiting("Replacing", f"pods of stage {launch.stage} from before the spec was edited are stopping")
    return None
