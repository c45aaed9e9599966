"""Gates on what a judge holds: its win rate, the one at equal lengths, or its points."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_api.judging import CONTROLLED, gate_figure
from fabula_workloads.judging.figures import Judged, JudgeFigures, PairFigures
from fabula_workloads.metrics.bootstrap import Estimate


@dataclass(frozen=True, slots=True)
class Found:
    """What a gate may rest on: a figure, or why there is none, or why nothing rests on it."""

    estimate: Estimate | None = None
    reason: str | None = None
    distrust: str | None = None


def judged_gate(gate: Gate, judged: Judged, baseline: str) -> GateStatus | None:
    """What a gate on a judge found; None for a gate on a metric. Without a figure, or with a judge that failed its
    self-test, it fails."""
    asked = gate_figure(gate.metric)
    if asked is None:
        return None
    found = evidence(*asked, gate, judged, baseline)
    value = found.estimate.mean if found.estimate is not None else None
    kept = value is not None and (gate.min is None or value >= gate.min) and (gate.max is None or value <= gate.max)
    passed = kept and found.distrust is None
    return GateStatus(metric=gate.metric, arm=gate.arm, versus=gate.versus, value=value, passed=passed)


def evidence(figure: str, name: str, gate: Gate, judged: Judged, baseline: str) -> Found:
    """The figure that a gate asks for."""
    judge = judged.of(name)
    if judge is None:
        return Found(reason=f"there is no judge {name}")
    distrust = None if judge.self_test.passed else f"judge {name} failed its self-test: {judge.self_test.message}"
    if judge.means and gate.versus is None and figure != CONTROLLED:
        found = judge.means.get(gate.arm)
        return Found(found, _why_not(judge, found), distrust)
    versus = gate.versus or baseline
    pair, turned = judge.pair(gate.arm, versus), judge.pair(versus, gate.arm)
    if pair is None and turned is None:
        words = f"judge {name} was not asked about {gate.arm} against {versus}; with pairs: all it is asked about all"
        return Found(reason=words, distrust=distrust)
    found = _rate(pair, figure) if pair is not None else _complement(_rate(turned, figure))
    return Found(found, _why_not(judge, found), distrust)


def _rate(pair: PairFigures | None, figure: str) -> Estimate | None:
    if pair is None:
        return None
    if figure != CONTROLLED:
        return pair.win_rate
    return pair.controlled.win_rate if pair.controlled is not None else None


def _complement(found: Estimate | None) -> Estimate | None:
    """The other arm's rate."""
    if found is None or found.mean is None or found.low is None or found.high is None:
        return found
    return Estimate(1 - found.mean, 1 - found.high, 1 - found.low, found.count)


def _why_not(judge: JudgeFigures, found: Estimate | None) -> str | None:
    if found is None:
        return "a win rate at equal lengths needs pairs, and eight samples"
    if found.mean is not None:
        return None
    return "the budget left all questions" if judge.left else "no verdict could be read"
