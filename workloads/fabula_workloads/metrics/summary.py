"""The evaluation in the few bytes of a termination message: what the status shows, what matters most first."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from fabula_api.arms import ArmStatus
from fabula_api.eval_results import Comparison, MetricStatus, SelfTest
from fabula_api.worker import packed
from fabula_workloads.metrics.evaluation import Evaluation

SIGNIFICANT_DIGITS = 4
SUMMARY_LIMIT = 3_300
"""Bytes for the summary: the message's 4,096 less the artifact, the lineage and the counts."""
Summary = dict[str, Any]
_DETAILS = frozenset({"low", "high", "pValue", "adjusted", "effect", "needed", "reason"})
"""What only the report tells where a summary has to be short."""


def rounded(value: float | None) -> float | None:
    """Rounded to four significant digits."""
    if value is None or value == 0 or not math.isfinite(value):
        return value
    return round(value, SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(value))))


def summarize(evaluation: Evaluation, limit: int = SUMMARY_LIMIT) -> Summary:
    """`arms`, `comparisons`, `gates` and `selfTests` of the first profile, as in EvalRun's status.

    Where that is over `limit` bytes, what the report tells anyway goes first: messages, intervals, comparisons, metrics
    without a gate. Gates come last, and lose what the spec tells anyway: they answer it by their position. None is left
    out, since a gate that is not answered has failed.
    """
    summary = _whole(evaluation)
    headlines = {metric.name for metric in evaluation.metrics if metric.headline}
    gated = {gate.metric for gate, _ in evaluation.gates} | headlines
    steps = (
        _drop_messages, _drop_passed_tests, _drop_intervals, _keep_comparisons(headlines), _keep_metrics(gated),
        _keep_metrics(headlines),
    )  # fmt: skip
    for shorten in steps:
        if wire_size(summary) <= limit:
            return summary
        summary = shorten(summary)
    return _answer_in_order(summary) if wire_size(summary) > limit else summary


def _whole(evaluation: Evaluation) -> Summary:
    profile = evaluation.profile
    arms = [
        ArmStatus(
            name=arm.name,
            done=arm.done,
            failed=arm.failed,
            unparseable=arm.unparseable[profile],
            metrics=[
                MetricStatus(
                    name=metric.name,
                    mean=rounded(mean.mean),
                    low=rounded(mean.low),
                    high=rounded(mean.high),
                    count=mean.count,
                    reason=arm.lacking.get((profile, metric.name)),
                    label=evaluation.label(metric),
                )
                for metric in evaluation.metrics_under(profile)
                for mean in [arm.means[profile, metric.name]]
            ],
        )
        for arm in evaluation.arms
    ]
    comparisons = [
        Comparison(
            arm=difference.arm,
            versus=difference.versus,
            metric=difference.metric,
            delta=rounded(difference.estimate.mean),
            low=rounded(difference.estimate.low),
            high=rounded(difference.estimate.high),
            count=difference.estimate.count,
            p_value=rounded(difference.paired.p_value),
            adjusted=rounded(difference.paired.adjusted),
            effect=rounded(difference.paired.effect),
            needed=None if difference.paired.seen else difference.paired.needed,
            reason=difference.reason,
        )
        for difference in evaluation.differences
        if difference.profile == profile
    ]
    gates = [gate.replace(value=rounded(gate.value)) for _, gate in evaluation.gates]
    tests = [
        SelfTest(name=f"{test.metric} {test.what}", passed=test.passed, message="" if test.passed else test.message)
        for test in evaluation.self_tests
        if test.profile == profile
    ]
    return {
        "arms": [arm.to_wire() for arm in arms],
        "comparisons": [comparison.to_wire() for comparison in comparisons],
        "gates": [gate.to_wire() for gate in gates],
        "selfTests": [test.to_wire() for test in tests],
    }


def _drop_messages(summary: Summary) -> Summary:
    tests = [{key: value for key, value in test.items() if key != "message"} for test in summary["selfTests"]]
    return {**summary, "selfTests": tests}


def _drop_passed_tests(summary: Summary) -> Summary:
    return {**summary, "selfTests": [test for test in summary["selfTests"] if not test["passed"]]}


def _drop_intervals(summary: Summary) -> Summary:
    return {**summary, "comparisons": [_without_interval(entry) for entry in summary["comparisons"]]}


def _keep_comparisons(metrics: set[str]) -> Callable[[Summary], Summary]:
    def shorten(summary: Summary) -> Summary:
        return {**summary, "comparisons": [entry for entry in summary["comparisons"] if entry["metric"] in metrics]}

    return shorten


def _keep_metrics(kept: set[str]) -> Callable[[Summary], Summary]:
    def shorten(summary: Summary) -> Summary:
        arms = [
            {**arm, "metrics": [_without_interval(entry) for entry in arm["metrics"] if entry["name"] in kept]}
            for arm in summary["arms"]
        ]
        return {**summary, "arms": arms}

    return shorten


def _answer_in_order(summary: Summary) -> Summary:
    gates = [{key: gate[key] for key in ("value", "passed") if key in gate} for gate in summary["gates"]]
    return {**summary, "gates": gates}


def _without_interval(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _DETAILS}


def wire_size(figures: object) -> int:
    """Bytes of figures in the message, where what is long is packed."""
    whole = json.dumps(figures, separators=(",", ":")).encode()
    return min(len(whole), len(packed(whole)))
