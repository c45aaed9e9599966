"""Figures of running stages: done and total over shards, percent, time left, and the one cell that `kubectl get` shows.

Nothing here depends on the time of looking, only on reports: a run that reports nothing causes no writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from fabula_api.base import duration_seconds
from fabula_api.counts import Counted
from fabula_api.outside import whole
from fabula_api.recipes import Stage
from fabula_api.status import Progress, StageStatus
from fabula_api.worker import WorkerResult
from fabula_operator.plan.seen.api_objects import Child, Pod
from fabula_operator.plan.seen.observed import Report
from fabula_operator.plan.stages.results import result_of
from fabula_operator.plan.times import duration_text


def reports_of(child: Child, pods: Sequence[Pod], reports: Sequence[Report]) -> dict[int, Report]:
    """The last report of each of the child's shards; those of pods that are not the child's are left out."""
    names = {pod.name for pod in pods}
    last: dict[int, Report] = {}
    for report in sorted(reports, key=lambda report: report.received_at):
        body = report.body
        belongs = body.stage == child.stage and body.arm == child.arm and body.attempt == child.attempt
        if belongs and (report.pod is None or report.pod in names):
            last[body.shard] = report
    return last


def seconds_left(report: Report, usual_seconds: float | None = None) -> float | None:
    """Time left for one shard: its own estimate, else from the rate since it began to make any.

    `usual_seconds` is what an item usually takes: right after a resume nothing else is known.
    """
    body = report.body
    if body.eta_seconds is not None:
        return float(body.eta_seconds)
    if body.total is None:
        return None
    elapsed = (report.received_at - report.first_at).total_seconds()
    done_since = body.done - report.first_done
    if body.done >= body.total:
        return 0.0
    if elapsed <= 0 or done_since <= 0:
        return None if usual_seconds is None else (body.total - body.done) * usual_seconds
    return (body.total - body.done) * elapsed / done_since


def figures(
    status: StageStatus,
    stage: Stage,
    child: Child,
    pods: Sequence[Pod],
    reports: dict[int, Report],
    usual_seconds: float | None = None,
) -> StageStatus:
    """The stage's status with the newest figures. Until every shard was heard of, no figure goes back.

    `usual_seconds` is what an item took before, for shards that have made none yet. After an operator's restart the
    first reports come from some shards only; their sum would be too small.
    """
    results = {pod.index: result for pod in pods if pod.phase == "Succeeded" and (result := result_of(pod))}
    done, failed, totals = 0, 0, []
    left: list[float | None] = []
    heard, size = 0, child.size if stage.shape != "group" else 1
    for shard in range(size):
        if shard in reports:
            body = reports[shard].body
            done, failed = done + body.done, failed + body.failed
            totals.append(body.total)
            if shard not in results:
                left.append(seconds_left(reports[shard], usual_seconds))
        elif shard in results:
            ended = items(results[shard], stage)
            done, failed = done + ended[0], failed + ended[1]
            totals.append(ended[0])
        else:
            continue
        heard += 1
    if heard == 0:
        return status
    whole = heard == size
    known = [total for total in totals if total is not None]
    total = sum(known) if whole and len(known) == len(totals) else None
    seconds = max((duration for duration in left if duration is not None), default=None) if None not in left else None
    if stage.shared and left and total is not None:
        at_work = [report for shard, report in reports.items() if shard not in results]
        seconds = _together(max(0, total - done), at_work) or seconds
    return status.replace(
        done=done if whole else max(done, status.done or 0),
        failed=failed if whole else max(failed, status.failed or 0),
        total=total if total is not None else status.total,
        eta=duration_text(seconds) if whole and seconds is not None else None,
    )


def _together(left: int, reports: Sequence[Report]) -> float | None:
    """Time left where shards help each other: what is left of all, at the pace of those at work together. None while
    they have made nothing yet."""
    pace = 0.0
    for report in reports:
        elapsed = (report.received_at - report.first_at).total_seconds()
        if elapsed > 0:
            pace += max(0, report.body.done - report.first_done) / elapsed
    return left / pace if pace > 0 else None


def items(result: WorkerResult, stage: Stage) -> tuple[int, int]:
    """(done, failed) items of a stage in a result's counts, which name them by its unit or by the stage."""
    no_items = stage.only_in_figures
    counts = [
        (count, value)
        for key, value in result.counts.items()
        if key not in no_items and (count := Counted.parse(key)) is not None
    ]
    name = stage.unit if any(count.kind == stage.unit for count, _ in counts) else stage.name
    counted = [(count.outcome, value) for count, value in counts if count.kind == name and count.outcome != "left"]
    return int(sum(value for _, value in counted)), int(sum(value for what, value in counted if what == "failed"))


def finished_figures(status: StageStatus, stage: Stage, result: WorkerResult) -> StageStatus:
    """The stage's figures once it has finished."""
    done, failed = items(result, stage)
    if done == 0:
        # Training counts its steps among the metrics; a stage may count by another name than its unit.
        done = whole(result.metrics.get("step")) or status.total or status.done or 0
        failed = status.failed or 0
    return status.replace(done=done, total=done, failed=failed, eta=None)


def overall(stages: Sequence[StageStatus], units: dict[str, str]) -> Progress:
    """Progress of the run from its stages, all weighed alike. `units` maps a stage's name to what it counts."""
    counted = [stage for stage in stages if stage.state != "Skipped"]
    share = 0.0
    for stage in counted:
        if stage.state == "Succeeded":
            share += 1
        elif stage.done and stage.total:
            share += min(1.0, stage.done / stage.total)
    percent = int(100 * share / len(counted)) if counted else 0
    active = [stage for stage in counted if stage.state == "Running"]
    if not active:
        return Progress(percent=percent)
    names = sorted({_base(stage) for stage in active})
    # Arms that are through count as well, or the figures would shrink when the first one ends.
    shown = [stage for stage in counted if _base(stage) in names]
    done = sum(stage.done or 0 for stage in shown)
    total = None
    if all(stage.total is not None for stage in shown):
        total = sum(stage.total or 0 for stage in shown)
    # A training run is told in steps, the others by the name of their stage.
    name = "step" if units.get(names[0]) == "step" else "+".join(names)
    known = any(stage.done is not None for stage in shown)
    summary = f"{name} {done}/{total if total is not None else '?'}" if known else "+".join(names)
    etas = [stage.eta for stage in active]
    return Progress(
        stage="+".join(names),
        done=done if known else None,
        total=total,
        percent=percent,
        # While one of them cannot say, nobody knows how long all take.
        eta=max((eta for eta in etas if eta), key=duration_seconds) if all(etas) else None,
        summary=summary,
    )


def _base(stage: StageStatus) -> str:
    return stage.name.partition("/")[0]
