"""EvalRun: arms and their shards, comparisons, self-tests, the score, and whether the gates were passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fabula_api.arms import ArmStatus, ShardCount, engine_of
from fabula_api.bills import StageBill
from fabula_api.counts import UNPARSEABLE
from fabula_api.entries import Entry
from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.judging import planned_words
from fabula_api.outside import whole
from fabula_api.recipes import Stage, metrics_of
from fabula_api.status import ArtifactStatus, FailureDigest
from fabula_api.summary import ScoreSummary
from fabula_operator.plan.acceptance.contradictions import contradiction
from fabula_operator.plan.acceptance.evaluation import infeasible_evaluation
from fabula_operator.plan.acceptance.preflight import Preflight
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.kinds.billing import billed
from fabula_operator.plan.kinds.gates import answered, gates
from fabula_operator.plan.kinds.judges import judges, trusted
from fabula_operator.plan.kinds.kind import Plain
from fabula_operator.plan.kinds.needs import Needs, needs_of
from fabula_operator.plan.money.unpriced import unpriced
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.stages.results import summary_of
from fabula_operator.plan.stages.view import StageView, result_view
from fabula_operator.plan.status.conditions import Told


class EvalRunKind(Plain[EvalRunSpec, EvalRunStatus]):
    """See `RunKind`."""

    def infeasible(self, spec: EvalRunSpec) -> Refusal | None:
        """Metrics, judges, arms and gates."""
        return infeasible_evaluation(spec)

    def hopeless(self, seen: Observed, spec: EvalRunSpec, estimate: Preflight | None) -> Refusal | None:
        """Where it does not go with a run that it names, and that one stays as it is."""
        clash = contradiction(seen, spec)
        return Refusal(clash.reason, clash.message) if clash and clash.lasting else None

    def awaits(self, seen: Observed, spec: EvalRunSpec) -> Waiting | None:
        """Where it does not go with one that may still be edited."""
        clash = contradiction(seen, spec)
        return Waiting(clash.reason, clash.message, stalled=True) if clash else None

    def planned(self, spec: EvalRunSpec) -> str:
        """How many calls judges will take, and what they cost."""
        return planned_words(spec) or ""

    def needs(self, spec: EvalRunSpec, stage: Stage, entry: Entry | None) -> Needs:
        """Of an arm, the GPUs of one shard and the model, unless a server holds it."""
        plain = needs_of(stage, spec, entry)
        arm = next((arm for arm in spec.arms if arm is entry), None)
        if arm is None:
            return plain
        engine = engine_of(arm, spec.engine)
        held = bool(arm.gpus_per_shard) and engine != "openai"
        return replace(
            plain,
            device="cuda" if held else "cpu",
            gpus=arm.gpus_per_shard if held else 0,
            model=None if engine == "openai" else arm.model,
            vllm=engine == "vllm",
        )

    def conditions(
        self, spec: EvalRunSpec | None, status: EvalRunStatus, at_work: Sequence[StageView] | None
    ) -> Mapping[str, Told]:
        """What the gates say, and where there are judges whether they can judge."""
        conditions = {"GatesPassed": gates(status, spec) if spec is not None else ("Unknown", "NotScored", "")}
        return conditions | ({"JudgesTrusted": trusted(status)} if status.judges else {})

    def fold(
        self, status: EvalRunStatus, spec: EvalRunSpec, views: Sequence[StageView], prices: Mapping[str, float]
    ) -> EvalRunStatus:
        """With arms, shards, judges, the bill and the score."""
        return _folded(status, spec, views)

    def artifact(self, status: EvalRunStatus) -> ArtifactStatus | None:
        """The report."""
        return status.report

    def figure(self, status: EvalRunStatus) -> str | None:
        """The score."""
        return status.score

    def bills(self, status: EvalRunStatus) -> Sequence[StageBill]:
        """Of the judges."""
        return status.bills

    def verdict(self, status: EvalRunStatus) -> FailureDigest | None:
        """Figures of a metric that cannot fail are none."""
        broken = [test for test in status.self_tests if not test.passed]
        if not broken:
            return None
        return FailureDigest(
            reason="SelfTestFailed",
            message="; ".join(f"{test.name}: {test.message}" for test in broken)[:4096],
            stage=status.stages[-1].name if status.stages else None,
        )

    def left(self, status: EvalRunStatus) -> Sequence[tuple[str, str]]:
        """Questions that no judge was asked, for want of dollars."""
        return [
            ("BudgetReached", f"BudgetReached: {judge.left} questions to judge {judge.name} were left")
            for judge in status.judges
            if judge.left
        ]

    def outcome(self, status: EvalRunStatus) -> str:
        """The score."""
        return status.score or "report committed"


def _folded(status: EvalRunStatus, spec: EvalRunSpec, views: Sequence[StageView]) -> EvalRunStatus:
    infer = [view for view in views if view.stage.for_each == "arms"]
    arms = {arm.name: arm for arm in status.arms}
    for view in infer:
        assert view.arm is not None
        arm = arms.get(view.arm) or ArmStatus(name=view.arm)
        arms[view.arm] = arm.replace(
            done=view.status.done or arm.done,
            failed=view.status.failed or arm.failed,
            unparseable=max(_unparseable(view), arm.unparseable),
            **_place(view, spec),
        )
    shards = [_shards(view, spec) for view in infer]
    update: dict[str, Any] = {
        **billed(status, views, frozenset(unpriced(spec))),
        "shards": ShardCount(
            done=sum(shard.done for shard in shards),
            total=sum(shard.total for shard in shards),
            failed=sum(shard.failed for shard in shards),
        ),
        "arms": [arms[arm.name] for arm in spec.arms],
    }
    last, judged = result_view(views), None
    if last.result is not None:
        summary = summary_of(ScoreSummary, last.result)
        judged = summary.judges
        update["comparisons"] = summary.comparisons
        update["gates"] = answered(spec, summary.gates)
        update["self_tests"] = summary.self_tests
        # The score knows nothing of shards.
        places = {view.arm: _place(view, spec) for view in infer}
        scored = {arm.name: arm.replace(**places.get(arm.name, {})) for arm in summary.arms}
        update["arms"] = [scored.get(arm.name, arms[arm.name]) for arm in spec.arms]
        update["score"] = summary.score or _score(spec, update["arms"])
    elif last.status.state != "Succeeded":
        update |= {"comparisons": [], "gates": [], "self_tests": [], "score": None}
        judged = []
    update["judges"] = judges(status, spec, views, update.get("bills", status.bills), judged)
    update["report"] = last.status.artifact if last.status.state == "Succeeded" else None
    return status.replace(**update)


def _place(view: StageView, spec: EvalRunSpec) -> dict[str, Any]:
    """How far an arm's answers are: fields of its status."""
    return {"total": view.status.total, "shards": _shards(view, spec), "eta": view.status.eta}


def _shards(view: StageView, spec: EvalRunSpec) -> ShardCount:
    through = spec.shards if view.status.state == "Succeeded" else min(view.ended, spec.shards)
    lost = 0 if view.failure is None else max(1, len(view.child.failed_indexes) if view.child else 0)
    return ShardCount(done=through, total=spec.shards, failed=lost)


def _unparseable(view: StageView) -> int:
    """Answers without a turn, as far as the arm's shards have told."""
    said = [view.result.counts] if view.result else [report.body.counts for report in view.reports.values()]
    return sum(whole(counts.get(UNPARSEABLE)) or 0 for counts in said)


def _score(spec: EvalRunSpec, arms: Sequence[ArmStatus]) -> str | None:
    """The headline metric of each arm, as `base 12% finetuned 88%`."""
    known = metrics_of(spec.recipe)
    headline = next((name for name in spec.metrics if name in known and known[name].headline), None)
    cells = []
    for arm in arms:
        mean = next((metric.mean for metric in arm.metrics if metric.name == headline), None)
        if mean is not None:
            cells.append(f"{arm.name} {mean:.0%}")
    return " ".join(cells) or None
