"""FineTuneRun: metrics, checkpoint, attempts with their GPU hours, and whether it is healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fabula_api.entries import Entry
from fabula_api.fine_tune_blocks import Estimate, Template
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import Attempt, CheckpointStatus, FineTuneRunStatus, Metrics
from fabula_api.outside import whole
from fabula_api.recipes import Stage
from fabula_api.status import ArtifactStatus, ConditionStatus, FailureDigest
from fabula_api.summary import TrainSummary
from fabula_operator.plan.acceptance.preflight import Preflight
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.acceptance.training import expected, hopeless, infeasible_training
from fabula_operator.plan.groups.group import Remembered
from fabula_operator.plan.kinds.backend import backend_of
from fabula_operator.plan.kinds.kind import Plain
from fabula_operator.plan.kinds.needs import Needs, needs_of
from fabula_operator.plan.money.gpu_hours import cost_usd, listed, timed
from fabula_operator.plan.seen.observed import Observed, Report, Waiting
from fabula_operator.plan.stages.results import summary_of
from fabula_operator.plan.stages.view import StageView, result_view
from fabula_operator.plan.stages.watchdog import healthy
from fabula_operator.plan.status.conditions import Told
from fabula_operator.render.launch import Backend

TELLING_STEPS = 20
"""So many steps of a pod say better how long a run takes than sizes do."""
_METRIC_NAMES = {field.alias: name for name, field in Metrics.model_fields.items() if field.alias}


class FineTuneRunKind(Plain[FineTuneRunSpec, FineTuneRunStatus]):
    """See `RunKind`."""

    def infeasible(self, spec: FineTuneRunSpec) -> Refusal | None:
        """What only the operator sets."""
        return infeasible_training(spec)

    def expected(self, seen: Observed, spec: FineTuneRunSpec) -> Preflight | None:
        """Memory and hours."""
        return expected(seen, spec)

    def hopeless(self, seen: Observed, spec: FineTuneRunSpec, estimate: Preflight | None) -> Refusal | None:
        """Where it does not fit, or its model or dataset cannot be trained so."""
        return hopeless(seen, spec, estimate)

    def takes_the_risk(self, spec: FineTuneRunSpec) -> bool:
        """Where its own program trains, and where the preflight only warns."""
        return spec.template.foreign or spec.preflight.policy != "enforce"

    def backend(
        self, spec: FineTuneRunSpec, status: FineTuneRunStatus, pytorch_jobs: bool
    ) -> tuple[Backend, str | None] | Waiting:
        """By the spec, the nodes, and whether PyTorchJobs are served."""
        return backend_of(spec, status, pytorch_jobs)

    def needs(self, spec: FineTuneRunSpec, stage: Stage, entry: Entry | None) -> Needs:
        """Of a group what its topology says; beside it the environment alone is the run's."""
        plain = replace(needs_of(stage, spec, entry), queue=spec.queue)
        if stage.shape != "group":
            return replace(plain, template=Template(env=spec.template.env))
        return replace(
            plain,
            shards=spec.topology.nodes,
            gpus=spec.topology.gpus_per_node if plain.device == "cuda" else 0,
            model=None if spec.template.foreign else spec.model,
            template=spec.template,
            topology=spec.topology,
        )

    def told_by_silence(self, spec: FineTuneRunSpec) -> ConditionStatus:
        """A foreign trainer need not report at all."""
        return "Unknown" if spec.template.foreign else "True"

    def conditions(
        self, spec: FineTuneRunSpec | None, status: FineTuneRunStatus, at_work: Sequence[StageView] | None
    ) -> Mapping[str, Told]:
        """What the watchdog sees."""
        if at_work is None:
            return {"Healthy": ("Unknown", "NotRunning", "")}
        health = next((view.health for view in at_work if view.health is not None), None)
        return {"Healthy": healthy(status, health)}

    def begin(self, status: FineTuneRunStatus, estimate: Estimate | None) -> FineTuneRunStatus:
        """With the estimate. Hours that were once known stay, even if the dataset they came from goes, and those that
        rest on the run's own steps stay until better ones are known."""
        former = status.estimate if status.started_at else None
        if estimate is not None and former is not None:
            if former.basis == "steps":
                estimate = estimate.replace(step_seconds=former.step_seconds, hours=former.hours, basis="steps")
            elif estimate.hours is None:
                estimate = estimate.replace(hours=former.hours)
        return status.replace(estimate=estimate)

    def fold(
        self, status: FineTuneRunStatus, spec: FineTuneRunSpec, views: Sequence[StageView], prices: Mapping[str, float]
    ) -> FineTuneRunStatus:
        """With metrics, checkpoint, attempts, hours and what was made."""
        return _folded(status, spec, views, prices)

    def outcome(self, status: FineTuneRunStatus) -> str:
        """What was committed, and the loss."""
        loss = status.metrics.loss if status.metrics else None
        words = "trained, without an adapter"
        if status.adapter or status.model:
            words = "adapter committed" if status.adapter else "model committed"
        return f"{words}, loss {loss:.4g}" if loss is not None else words

    def artifact(self, status: FineTuneRunStatus) -> ArtifactStatus | None:
        """The adapter, or the model."""
        return status.adapter or status.model

    def figure(self, status: FineTuneRunStatus) -> str | None:
        """The loss."""
        return f"loss {status.metrics.loss:.3f}" if status.metrics and status.metrics.loss is not None else None

    def attempts(self, status: FineTuneRunStatus) -> Sequence[Attempt]:
        """Those that the status lists."""
        return status.attempts

    def remembered(self, spec: FineTuneRunSpec, status: FineTuneRunStatus) -> Remembered:
        """Its attempts, and how its watchdog judges them."""
        return Remembered(
            spec.watchdog,
            foreign=spec.template.foreign,
            attempts=tuple(status.attempts),
            earlier=status.earlier_attempts,
            step_seconds=status.metrics.step_seconds if status.metrics else None,
        )

    def stopped(self, status: FineTuneRunStatus, failure: FailureDigest, finished_at: str) -> FineTuneRunStatus:
        """The attempt at work ends with the run."""
        return status.replace(
            attempts=[
                attempt.replace(state="Failed", reason=failure.reason, finished_at=finished_at)
                if attempt.open
                else attempt
                for attempt in status.attempts
            ]
        )

    def timed(self, status: FineTuneRunStatus) -> FineTuneRunStatus:
        """With how long each attempt took."""
        return status.replace(attempts=timed(status.attempts))


def _folded(
    status: FineTuneRunStatus, spec: FineTuneRunSpec, views: Sequence[StageView], prices: Mapping[str, float]
) -> FineTuneRunStatus:
    view = result_view(views)
    artifact = view.status.artifact if view.status.state == "Succeeded" else None
    full = spec.training.method == "full"
    update: dict[str, Any] = {"adapter": None if full else artifact, "model": artifact if full else None}
    report = view.reports.get(0)
    figures = dict(report.body.metrics) if report else {}
    if view.result is not None:
        figures |= view.result.metrics
    if report or view.result:
        update["metrics"] = _metrics(status.metrics, figures, report)
    if report and status.estimate and (measured := _measured(update["metrics"], report)) is not None:
        update["estimate"] = status.estimate.replace(**measured)
    checkpoint = report.body.checkpoint if report else None
    if view.result is not None:
        checkpoint = _last_checkpoint(view, checkpoint or status.checkpoint)
    if checkpoint is not None:
        update["checkpoint"] = checkpoint
    gpus = spec.topology.nodes * spec.topology.gpus_per_node if spec.topology.device == "cuda" else 0
    seen_at = report.received_at if report else None
    attempts = status.attempts if view.attempts is None else view.attempts
    update["attempts"], update["earlier_attempts"], spent = listed(attempts, status.earlier_attempts, gpus, seen_at)
    if status.gpu_hours is not None and spent.used < status.gpu_hours.used:
        # An operator that has just started knows of no report yet of the attempt at work.
        spent = spent.replace(used=status.gpu_hours.used)
    update["gpu_hours"] = spent
    update["cost_usd"] = cost_usd(update["gpu_hours"], spec, prices)
    return status.replace(**update)


def _measured(metrics: Metrics, report: Report) -> dict[str, Any] | None:
    """Hours by the steps that were made; None while they are few."""
    usual = report.pulse.usual_seconds if report.pulse else None
    if usual is None or metrics.steps is None or report.body.done - report.first_done < TELLING_STEPS:
        return None
    seconds = float(f"{usual:.2g}")
    return {"step_seconds": seconds, "hours": float(f"{metrics.steps * seconds / 3600:.2g}"), "basis": "steps"}


def _last_checkpoint(view: StageView, reported: CheckpointStatus | None) -> CheckpointStatus | None:
    """The checkpoint that a training ended with; `reported` is the last one of a report."""
    assert view.result is not None
    last = summary_of(TrainSummary, view.result).checkpoint
    if last is None or (reported is not None and (reported.step, reported.digest) == (last.step, last.digest)):
        return reported
    # Where its own time is not known, it was committed before the training ended.
    at = last.committed_at or view.status.finished_at
    if at is None:
        return reported
    return CheckpointStatus(uri=last.uri, step=last.step, digest=last.digest, committed_at=at)


def _metrics(old: Metrics | None, figures: dict[str, float], report: Report | None) -> Metrics:
    known = {_METRIC_NAMES.get(name, name): value for name, value in figures.items()}
    values = {name: value for name, value in known.items() if name in Metrics.model_fields}
    if report is not None and "step" not in values:
        values["step"] = report.body.done
    if report is not None and "steps" not in values and report.body.total is not None:
        values["steps"] = report.body.total
    for name in ("step", "steps", "unique_samples", "skipped_samples"):
        if name in values and (count := whole(values.pop(name))) is not None:
            values[name] = count
    # More digits than five are noise, and make a column of `kubectl get` unreadable.
    values = {name: value if isinstance(value, int) else float(f"{value:.5g}") for name, value in values.items()}
    if report is not None and report.pulse is not None and (usual := report.pulse.usual_seconds) is not None:
        values.setdefault("step_seconds", float(f"{usual:.3g}"))
    if old is None and "loss" in values:
        values.setdefault("first_loss", values["loss"])
    return (old or Metrics()).replace(**values)
