"""The figures of an evaluation that trackers are told, under flat names. Numbers alone: no answer, no judge's reason.

finetuned/words, finetuned/words.low, finetuned/words.high, finetuned/unparseable
finetuned-base/words, finetuned-base/words.low, finetuned-base/words.high, finetuned-base/words.p
judge/opus/finetuned-base, judge/opus/finetuned-base.controlled, judge/opus/trusted
gates/passed, gates/failed
"""

from __future__ import annotations

from fabula_workloads.judging.figures import Judged, JudgeFigures
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.evaluation import Evaluation


def tracked_figures(evaluation: Evaluation, judged: Judged) -> dict[str, float]:
    """Those of the first profile, as status and gates have them; what there is no figure of is left out."""
    profile = evaluation.profile
    figures: dict[str, float] = {}
    for arm in evaluation.arms:
        for metric in evaluation.metrics_under(profile):
            figures |= _estimate(f"{arm.name}/{metric.name}", arm.means[profile, metric.name])
        figures[f"{arm.name}/failed"] = arm.failed
        figures[f"{arm.name}/unparseable"] = arm.unparseable[profile]
    for difference in evaluation.differences:
        if difference.profile == profile:
            name = f"{difference.arm}-{difference.versus}/{difference.metric}"
            figures |= _estimate(name, difference.estimate)
            if difference.paired.adjusted is not None:
                figures[f"{name}.p"] = difference.paired.adjusted
    for judge in judged.judges:
        figures |= _judge(judge)
    if evaluation.gates:
        passed = sum(status.passed for _, status in evaluation.gates)
        figures |= {"gates/passed": passed, "gates/failed": len(evaluation.gates) - passed}
    return figures


def _judge(judge: JudgeFigures) -> dict[str, float]:
    name = f"judge/{judge.name}"
    figures: dict[str, float] = {f"{name}/trusted": float(judge.self_test.passed), f"{name}/usd": judge.usd}
    for pair in judge.pairs:
        figures |= _estimate(f"{name}/{pair.arm}-{pair.versus}", pair.win_rate)
        if pair.controlled is not None:
            figures |= _estimate(f"{name}/{pair.arm}-{pair.versus}.controlled", pair.controlled.win_rate)
        if pair.habits is not None:
            figures |= _estimate(f"{name}/{pair.arm}-{pair.versus}.corrected", pair.habits.win_rate)
    for arm, points in judge.means.items():
        figures |= _estimate(f"{name}/{arm}.points", points)
    return figures


def _estimate(name: str, estimate: Estimate) -> dict[str, float]:
    values = {name: estimate.mean, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return {key: value for key, value in values.items() if value is not None}
