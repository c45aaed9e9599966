"""What the kinds add to the common status: items and artifact, metrics and attempts, arms and gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fabula_api.dataset_build import CallCount, DatasetBuildStatus, StageBill, TokenCount
from fabula_api.eval_run import ArmStatus, EvalRunSpec, EvalRunStatus, ShardCount
from fabula_api.fine_tune_run import CheckpointStatus, FineTuneRunSpec, FineTuneRunStatus, Metrics
from fabula_api.outside import whole
from fabula_api.recipes import metrics_of
from fabula_api.status import FailureDigest, RunStatus, Tally
from fabula_api.summary import DatasetSummary, EstimateSummary, ScoreSummary, TrainSummary
from fabula_api.worker import Spec, WorkerResult
from fabula_operator.plan.kinds.gates import answered
from fabula_operator.plan.money.gpu_hours import cost_usd, listed
from fabula_operator.plan.money.unpriced import unpriced
from fabula_operator.plan.seen.observed import Report
from fabula_operator.plan.stages.results import add_up, summary_of
from fabula_operator.plan.stages.view import StageView

BILLED = ("tokens", "calls", "cost", "verbatim")
_METRIC_NAMES = {field.alias: name for name, field in Metrics.model_fields.items() if field.alias}


def fold(
    status: RunStatus, spec: Spec, views: Sequence[StageView], prices: Mapping[str, float] = MappingProxyType({})
) -> RunStatus:
    """The status with what the kind adds, from the newest reports and results; `prices` are for GPU hours."""
    if isinstance(status, DatasetBuildStatus):
        return _dataset(status, views, frozenset(unpriced(spec)))
    if isinstance(status, FineTuneRunStatus) and isinstance(spec, FineTuneRunSpec):
        return _fine_tune(status, spec, views, prices)
    if isinstance(status, EvalRunStatus) and isinstance(spec, EvalRunSpec):
        return _eval(status, spec, views)
    return status


def verdict(status: RunStatus) -> FailureDigest | None:
    """Why a run whose stages all succeeded fails nevertheless."""
    if isinstance(status, EvalRunStatus):
        broken = [test for test in status.self_tests if not test.passed]
        if broken:
            return FailureDigest(
                reason="SelfTestFailed",
                message="; ".join(f"{test.name}: {test.message}" for test in broken)[:4096],
                stage="score",
            )
    return None


def outcome(status: RunStatus) -> str:
    """A sentence on what a successful run made."""
    if isinstance(status, DatasetBuildStatus):
        if status.stages and status.stages[-1].name == "estimate" and (expected := status.estimate) is not None:
            usd = "dollars not known" if expected.usd is None else f"${expected.usd:,.2f}"
            return f"dry run: {expected.calls:,} calls, {usd}, {expected.minutes:,.0f} minutes"
        return f"{status.samples} samples" if status.samples is not None else "dataset committed"
    if isinstance(status, FineTuneRunStatus):
        loss = status.metrics.loss if status.metrics else None
        made = "trained, without an adapter"
        if status.adapter or status.model:
            made = "adapter committed" if status.adapter else "model committed"
        return f"{made}, loss {loss:.4g}" if loss is not None else made
    if isinstance(status, EvalRunStatus):
        return status.score or "report committed"
    return "done"


def left_undone(status: RunStatus) -> str:
    """What a successful run left, and why; empty when nothing was left."""
    if not isinstance(status, DatasetBuildStatus):
        return ""
    return "; ".join(f"{one.reason}: {one.count} left in {one.kind}" for one in status.items if one.outcome == "left")


def stopped_by(status: RunStatus) -> str | None:
    """The first reason for which a successful run left something undone."""
    if not isinstance(status, DatasetBuildStatus):
        return None
    return next((one.reason for one in status.items if one.outcome == "left"), None)


def _results(views: Sequence[StageView]) -> list[WorkerResult]:
    return [view.result for view in views if view.result is not None]


def _counts(view: StageView) -> dict[str, float]:
    if view.result is not None:
        return view.result.counts
    return add_up(report.body.counts for report in view.reports.values())


def _dataset(
    status: DatasetBuildStatus, views: Sequence[StageView], unpriced_stages: frozenset[str]
) -> DatasetBuildStatus:
    tallies = {(one.kind, one.outcome, one.reason): one.count for one in status.items}
    for view in views:
        counts = _counts(view)
        if view.result is not None:
            # These counts are whole, and what failed or was left before may be done by now.
            told = {view.stage.name, *(key.partition("/")[0] for key in counts)}
            tallies = {entry: count for entry, count in tallies.items() if entry[0] not in told}
        for key, value in counts.items():
            kind, _, rest = key.partition("/")
            outcome_, _, reason = rest.partition("/")
            if kind not in BILLED and outcome_:
                entry = (kind, outcome_, reason or None)
                # Until every shard has been heard of again after a restart, a sum may be too small.
                final = view.result is not None
                tallies[entry] = int(value) if final else max(int(value), tallies.get(entry, 0))
    update: dict[str, Any] = {
        "items": [
            Tally(kind=kind, outcome=name, reason=reason, count=count)
            for (kind, name, reason), count in sorted(tallies.items(), key=lambda one: [part or "" for part in one[0]])
        ][:64],
        **_billed(status, views, unpriced_stages),
    }
    last = views[-1]
    if last.stage.name == "estimate":  # what a former build made stays
        if last.result is not None:
            update["estimate"] = summary_of(EstimateSummary, last.result).estimate
        return status.replace(**update)
    if last.result is not None:
        summary = summary_of(DatasetSummary, last.result)
        update["samples_by_image_count"] = summary.samples_by_image_count
        update["samples_by_split"] = summary.samples_by_split
        update["samples"] = int(last.result.counts.get("sample/ok", last.result.counts.get("samples", 0)))
    update["artifact"] = last.status.artifact if last.status.state == "Succeeded" else None
    return status.replace(**update)


def _billed(status: DatasetBuildStatus, views: Sequence[StageView], unpriced_stages: frozenset[str]) -> dict[str, Any]:
    """Tokens, calls and dollars by stage and in all, and the share of verbatim words. What was paid never gets less.

    Figures of a stage that ended stay in the status, since its reports and pods go.
    """
    bills = {bill.stage: bill for bill in status.bills}
    update: dict[str, Any] = {}
    for view in views:
        counts = _counts(view)
        if "calls/paid" in counts or "calls/saved" in counts:
            name = view.status.name
            old = bills.get(name) or StageBill(stage=name)
            whole, lost_usd = view.result is not None, counts.get("cost/lostUsd", 0)
            bills[name] = StageBill(
                stage=name,
                cost_usd=max(round(counts.get("cost/usd", 0), 4), old.cost_usd),
                input=max(int(counts.get("tokens/input", 0)), old.input),
                output=max(int(counts.get("tokens/output", 0)), old.output),
                paid=max(int(counts.get("calls/paid", 0)), old.paid),
                saved=int(counts.get("calls/saved", old.saved)),
                # A picture that is found again is no loss any more; but a sum of few shards is no news.
                lost=int(counts.get("calls/lost", 0) if whole else max(counts.get("calls/lost", 0), old.lost)),
                lost_usd=round(lost_usd if whole else max(lost_usd, old.lost_usd), 4),
            )
        if counts.get("verbatim/grams"):
            update["verbatim_ratio"] = round(counts.get("verbatim/found", 0) / counts["verbatim/grams"], 4)
    if bills:
        found = list(bills.values())
        update["bills"] = found
        update["tokens"] = TokenCount(input=sum(one.input for one in found), output=sum(one.output for one in found))
        update["calls"] = CallCount(
            paid=sum(one.paid for one in found),
            saved=sum(one.saved for one in found),
            lost=sum(one.lost for one in found),
        )
        # A sum without what was paid at an unknown price would be taken for the bill.
        known = not any(one.paid and one.stage in unpriced_stages for one in found)
        update["cost_usd"] = round(sum(one.cost_usd for one in found), 4) if known else None
    return update


def _fine_tune(
    status: FineTuneRunStatus, spec: FineTuneRunSpec, views: Sequence[StageView], prices: Mapping[str, float]
) -> FineTuneRunStatus:
    view = views[-1]
    made = view.status.artifact if view.status.state == "Succeeded" else None
    full = spec.training.method == "full"
    update: dict[str, Any] = {"adapter": None if full else made, "model": made if full else None}
    report = view.reports.get(0)
    figures = dict(report.body.metrics) if report else {}
    if view.result is not None:
        figures |= view.result.metrics
    if report or view.result:
        update["metrics"] = _metrics(status.metrics, figures, report)
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


def _last_checkpoint(view: StageView, told: CheckpointStatus | None) -> CheckpointStatus | None:
    """The checkpoint that a training ended with; `told` is the last one that was reported."""
    assert view.result is not None
    last = summary_of(TrainSummary, view.result).checkpoint
    if last is None or (told is not None and (told.step, told.digest) == (last.step, last.digest)):
        return told
    # Where its own time is not known, it was committed before the training ended.
    at = last.committed_at or view.status.finished_at
    if at is None:
        return told
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


def _eval(status: EvalRunStatus, spec: EvalRunSpec, views: Sequence[StageView]) -> EvalRunStatus:
    infer = [view for view in views if view.arm is not None]
    arms = {arm.name: arm for arm in status.arms}
    for view in infer:
        assert view.arm is not None
        arm = arms.get(view.arm) or ArmStatus(name=view.arm)
        arms[view.arm] = arm.replace(done=view.status.done or arm.done, failed=view.status.failed or arm.failed)
    done = sum(spec.shards for view in infer if view.status.state == "Succeeded")
    failed = sum(1 for view in infer if view.failure is not None)
    update: dict[str, Any] = {
        "shards": ShardCount(done=done, total=spec.shards * len(infer), failed=failed),
        "arms": [arms[arm.name] for arm in spec.arms],
    }
    last = views[-1]
    if last.result is not None:
        summary = summary_of(ScoreSummary, last.result)
        update["comparisons"] = summary.comparisons
        update["gates"] = answered(spec, summary.gates)
        update["self_tests"] = summary.self_tests
        scored = {arm.name: arm for arm in summary.arms}
        update["arms"] = [scored.get(arm.name, arms[arm.name]) for arm in spec.arms]
        update["score"] = summary.score or _score(spec, update["arms"])
    elif last.status.state != "Succeeded":
        update |= {"comparisons": [], "gates": [], "self_tests": [], "score": None}
    update["report"] = last.status.artifact if last.status.state == "Succeeded" else None
    return status.replace(**update)


def _score(spec: EvalRunSpec, arms: Sequence[ArmStatus]) -> str | None:
    """The headline metric of each arm, as `base 12% finetuned 88%`."""
    known = metrics_of(spec.recipe)
    headline = next((name for name in spec.metrics if name in known and known[name].headline), None)
    told = []
    for arm in arms:
        mean = next((one.mean for one in arm.metrics if one.name == headline), None)
        if mean is not None:
            told.append(f"{arm.name} {mean:.0%}")
    return " ".join(told) or None
