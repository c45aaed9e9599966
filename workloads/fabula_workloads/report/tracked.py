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
    found: dict[str, float] = {}
    for arm in evaluation.arms:
        for metric in evaluation.metrics_under(profile):
            found |= _estimate(f"{arm.name}/{metric.name}", arm.means[profile, metric.name])
        found[f"{arm.name}/failed"] = arm.failed
        found[f"{arm.name}/unparseable"] = arm.unparseable[profile]
    for difference in evaluation.differences:
        if difference.profile == profile:
            name = f"{difference.arm}-{difference.versus}/{difference.metric}"
            found |= _estimate(name, difference.estimate)
            if difference.paired.adjusted is not None:
                found[f"{name}.p"] = difference.paired.adjusted
    for judge in judged.judges:
        found |= _judge(judge)
    if evaluation.gates:
        passed = sum(status.passed for _, status in evaluation.gates)
        found |= {"gates/passed": passed, "gates/failed": len(evaluation.gates) - passed}
    return found


def _judge(judge: JudgeFigures) -> dict[str, float]:
    name = f"judge/{judge.name}"
    found: dict[str, float] = {f"{name}/trusted": float(judge.self_test.passed), f"{name}/usd": judge.usd}
    for pair in judge.pairs:
        found |= _estimate(f"{name}/{pair.arm}-{pair.versus}", pair.win_rate)
        if pair.controlled is not None:
            found |= _estimate(f"{name}/{pair.arm}-{pair.versus}.controlled", pair.controlled.win_rate)
        if pair.habits is not None:
            found |= _estimate(f"{name}/{pair.arm}-{pair.versus}.corrected", pair.habits.win_rate)
    for arm, points in judge.means.items():
        found |= _estimate(f"{name}/{arm}.points", points)
    return found


def _estimate(name: str, found: Estimate) -> dict[str, float]:
    values = {name: found.mean, f"{name}.low": found.low, f"{name}.high": found.high}
    return {key: value for key, value in values.items() if value is not None}
