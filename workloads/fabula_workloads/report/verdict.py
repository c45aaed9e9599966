"""The evaluation in one sentence: whether its bounds were kept, and what differs from the baseline."""

from __future__ import annotations

from fabula_workloads.metrics.evaluation import ArmFigures, Evaluation

_NAMED = 4
"""Metrics that the sentence names; the table has the rest."""


def verdict(evaluation: Evaluation) -> str:
    """The sentence."""
    others = [arm for arm in evaluation.arms if arm.name != evaluation.baseline]
    told = [_bounds(evaluation), *(_differs(evaluation, arm) for arm in others)]
    return "; ".join(filter(None, told)).rstrip(".") + "." if any(told) else "There is nothing to compare."


def _bounds(evaluation: Evaluation) -> str:
    if not evaluation.gates:
        return ""
    failed = sum(not found.passed for _, found in evaluation.gates)
    total = len(evaluation.gates)
    if not failed:
        return "The gate passed" if total == 1 else f"All {total} gates passed"
    return "The gate failed" if total == 1 else f"{failed} of {total} gates failed"


def _differs(evaluation: Evaluation, arm: ArmFigures) -> str:
    """What is better, worse or otherwise than the baseline, after correction for how much was looked at."""
    better: list[str] = []
    worse: list[str] = []
    other: list[str] = []
    compared = 0
    for metric in evaluation.metrics_under(evaluation.profile):
        found = evaluation.difference(evaluation.profile, arm.name, metric.name)
        if found is None or found.estimate.mean is None:
            continue
        compared += 1
        if found.paired.seen:
            rises = found.estimate.mean > 0
            kind = other if metric.better is None else better if rises == (metric.better == "higher") else worse
            kind.append(metric.title.lower())
    versus = f"{arm.name} against {evaluation.baseline}"
    if not compared:
        return f"{versus} cannot be compared"
    parts = [f"{word} in {_listed(names)}" for word, names in (("better", better), ("worse", worse)) if names]
    if other:
        parts.append(f"different in {_listed(other)}")
    return f"{versus} is {', '.join(parts)}" if parts else f"{versus} shows no difference in {compared} metrics"


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
