"""A single or sharded stage as an Indexed Job: the Job controller retries shards, and this reads what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fabula_api.externals import unresolved
from fabula_api.recipes import Stage
from fabula_api.status import FailureDigest, StageStatus
from fabula_api.worker import WorkerResult
from fabula_operator.plan.actions import DeleteChild
from fabula_operator.plan.seen.api_objects import Child, Pod
from fabula_operator.plan.seen.held_pods import held_back
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.seen.unstarted import Late, late
from fabula_operator.plan.stages.figures import figures, finished_figures, reports_of
from fabula_operator.plan.stages.pod_failures import cannot_start, failure_of, pod_failure
from fabula_operator.plan.stages.results import collect
from fabula_operator.plan.stages.view import StageView, succeeded_status
from fabula_operator.plan.times import timestamp
from fabula_operator.render.launch import Launch


def job_stage(seen: Observed, stage: Stage, launch: Launch, status: StageStatus, now: datetime) -> StageView:
    """How the stage stands that `launch` carries out."""
    child = next((child for child in seen.children if child.name == launch.child and child.key == launch.key), None)
    if child is None:
        return StageView(stage, launch.arm, status, launch=launch, retell_after=seen.environment.patience_seconds)
    if child.deleting:
        return StageView(stage, launch.arm, status, waiting=Waiting("Replacing", f"Job {child.name} is being deleted"))
    pods = seen.pods_of(child)
    mistaken = next((pod for pod in sorted(pods, key=lambda pod: pod.index) if cannot_start(pod)), None)
    if child.failed or mistaken is not None:
        if child.generation < seen.run.generation:
            # The spec was edited after the failure (or just before it), so the stage has its tries anew.
            return _discard(stage, launch, status, child, "the spec was edited after it failed")
        # What no try can start is not tried again, though the Job's controller would.
        failure = pod_failure(mistaken, stage.name) if mistaken is not None else failure_of(child, pods)
        ended = status.replace(state="Failed", eta=None, finished_at=timestamp(child.finished_at or now))
        return StageView(stage, launch.arm, ended, child=child, failure=failure)
    started = status.started_at or timestamp(child.created_at or now)
    status = status.replace(state="Running", started_at=started)
    reports = reports_of(child, pods, seen.reports)
    status = figures(status, stage, child, pods, reports)
    if child.complete:
        return _complete(stage, launch, status, child, pods, now)
    behind = Late() if child.suspended else late(seen, child, now)
    held, due = held_back(seen, child, now)
    return StageView(
        stage,
        launch.arm,
        status,
        child=child,
        reports=reports,
        ended=len({pod.index for pod in pods if pod.phase == "Succeeded"}),
        waiting=behind.waiting,
        held=held,
        unexplained=behind.subject,
        retrying=_retrying(child, pods, launch),
        requeue_after=due,
        retell_after=behind.look_again,
    )


def _discard(stage: Stage, launch: Launch, status: StageStatus, child: Child, why: str) -> StageView:
    status = StageStatus(name=status.name, key=launch.key)
    return StageView(stage, launch.arm, status, actions=(DeleteChild(child, why),))


def _complete(
    stage: Stage, launch: Launch, status: StageStatus, child: Child, pods: Sequence[Pod], now: datetime
) -> StageView:
    collected = collect(child, stage, pods)
    if collected.state == "lost":
        # The work is done and committed; a new pod finds it there and says so.
        return _discard(
            stage, launch, status, child, f"the pod of shard {collected.shard} is gone, and its result with it"
        )
    finished_at = timestamp(child.finished_at or now)
    if collected.failure is not None:
        return StageView(
            stage,
            launch.arm,
            status.replace(state="Failed", eta=None, finished_at=finished_at),
            child=child,
            failure=collected.failure,
        )
    result: WorkerResult = collected.result  # type: ignore[assignment]
    if stage.resolves and (lacking := {external.name for external in unresolved(launch.spec)} - result.digests.keys()):
        failed = status.replace(state="Failed", eta=None, finished_at=finished_at)
        return StageView(stage, launch.arm, failed, child=child, failure=_undigested(stage.name, lacking))
    status = succeeded_status(finished_figures(status, stage, result), launch, result, finished_at)
    return StageView(stage, launch.arm, status, child=child, result=result)


def _undigested(stage: str, names: set[str]) -> FailureDigest:
    return FailureDigest(
        reason="ResultUnreadable",
        message=f"stage {stage} succeeded but told no digest of {', '.join(sorted(names))}; check that the worker "
        "image belongs to this operator's version",
        stage=stage,
    )


def _retrying(child: Child, pods: Sequence[Pod], launch: Launch) -> str | None:
    """A sentence on the newest failure of a shard that is being tried again."""
    if not child.retried or launch.retries.failure == 0:
        return None
    done = {pod.index for pod in pods if pod.phase == "Succeeded"}
    failed = [pod for pod in pods if pod.phase == "Failed" and pod.index not in done and pod.disrupted is None]
    if not failed:
        return None
    last = max(failed, key=lambda pod: (pod.finished_at is not None, pod.finished_at, pod.name))
    digest = pod_failure(last, launch.stage)
    return f"shard {last.index} failed ({digest.reason}: {digest.message}) and is tried again"[:1000]
