"""The report as data: `report.json`, every figure of every profile, without the answers' texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_api.metrics import PROFILES
from fabula_api.status import Lineage
from fabula_workloads.metrics.bootstrap import RESAMPLES, Estimate
from fabula_workloads.metrics.evaluation import ArmFigures, Evaluation
from fabula_workloads.metrics.gates import bound

SCHEMA_VERSION = 1


def document(evaluation: Evaluation, lineage: Sequence[Lineage], settings: dict[str, Any]) -> dict[str, Any]:
    """Everything that was found, for programs. Nothing in it depends on the time or the machine."""
    clip = evaluation.clip
    return {
        "schemaVersion": SCHEMA_VERSION,
        "settings": settings,
        "profiles": [{"name": name, "version": PROFILES[name].version} for name in evaluation.profiles],
        "formatComplianceVersion": evaluation.form.version,
        "bootstrapResamples": RESAMPLES,
        "baseline": evaluation.baseline,
        "arms": [_arm(arm, evaluation) for arm in evaluation.arms],
        "comparisons": [
            {"profile": compared.profile, "arm": compared.arm, "versus": compared.versus, "metric": compared.metric}
            | _estimate(compared.estimate, "delta")
            | {
                "pValue": compared.paired.p_value, "adjusted": compared.paired.adjusted,
                "effect": compared.paired.effect, "needed": compared.paired.needed, "reason": compared.reason,
            }
            for compared in evaluation.differences
        ],
        "gates": [{**status.to_wire(), "bound": bound(gate)} for gate, status in evaluation.gates],
        "selfTests": [
            {
                "metric": test.metric, "profile": test.profile, "name": test.what, "passed": test.passed,
                "knownDefect": test.known_defect, "message": test.message,
            }
            for test in evaluation.self_tests
        ],
        "clip": {"model": clip.model, "randomWeights": clip.random_weights} if clip else None,
        "answers": [
            {
                "arm": m.answer.arm, "sample": m.answer.sample, "seed": m.answer.seed,
                "outcome": "failed" if m.answer.text is None else "ok", "reason": m.answer.reason or None,
                "tokens": m.answer.tokens, "seconds": m.answer.seconds, "finish": m.answer.finish,
                "parseable": m.parseable, "violation": m.violation, "values": m.values,
            }
            for m in evaluation.answers
        ],
        "lineage": [entry.to_wire() for entry in lineage],
    }  # fmt: skip


def _arm(arm: ArmFigures, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "name": arm.name,
        "done": arm.done,
        "failed": arm.failed,
        "unparseable": arm.unparseable,
        "violations": arm.violations,
        "clipControl": arm.control,
        "clipCoverage": arm.coverage,
        "metrics": [
            {
                "profile": profile,
                "name": metric.name,
                **_estimate(arm.means[profile, metric.name], "mean"),
                "reason": arm.lacking.get((profile, metric.name)),
            }
            for profile in evaluation.profiles
            for metric in evaluation.metrics_under(profile)
        ],
    }


def _estimate(estimate: Estimate, name: str) -> dict[str, float | int | None]:
    return {name: estimate.mean, "low": estimate.low, "high": estimate.high, "count": estimate.count}
