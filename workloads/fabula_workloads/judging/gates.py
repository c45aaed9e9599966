"""Gates on what a judge holds: its win rate, the one at equal lengths, or its points."""

from __future__ import annotations

from fabula_api.eval_measures import Gate
from fabula_api.eval_results import GateStatus
from fabula_api.judging import CONTROLLED, gate_figure
from fabula_workloads.judging.figures import Judged, JudgeFigures, PairFigures
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.gates import Evidence, judge


def judged_gate(gate: Gate, judged: Judged, baseline: str) -> GateStatus | None:
    """What a gate on a judge found; None for a gate on a metric. Without a figure, or with a judge that failed its
    self-test, it fails and says why."""
    asked = gate_figure(gate.metric)
    return None if asked is None else judge(gate, evidence(*asked, gate, judged, baseline))


def evidence(figure: str, name: str, gate: Gate, judged: Judged, baseline: str) -> Evidence:
    """The figure that a gate asks for."""
    of = judged.of(name)
    if of is None:
        return Evidence(None, f"there is no judge {name}")
    distrust = None if of.self_test.passed else f"judge {name} failed its self-test: {of.self_test.message}"
    if of.means and gate.versus is None and figure != CONTROLLED:
        measured = of.means.get(gate.arm)
        return Evidence(measured, _why_not(of, measured), distrust)
    versus = gate.versus or baseline
    pair, turned = of.pair(gate.arm, versus), of.pair(versus, gate.arm)
    if pair is None and turned is None:
        words = f"judge {name} was not asked about {gate.arm} against {versus}; with pairs: all it is asked about all"
        return Evidence(None, words, distrust)
    measured = _rate(pair, figure) if pair is not None else _complement(_rate(turned, figure))
    return Evidence(measured, _why_not(of, measured), distrust)


def _rate(pair: PairFigures | None, figure: str) -> Estimate | None:
    if pair is None:
        return None
    if figure != CONTROLLED:
        return pair.win_rate
    return pair.controlled.win_rate if pair.controlled is not None else None


def _complement(rate: Estimate | None) -> Estimate | None:
    """The other arm's rate."""
    if rate is None or rate.mean is None or rate.low is None or rate.high is None:
        return rate
    return Estimate(1 - rate.mean, 1 - rate.high, 1 - rate.low, rate.count)


def _why_not(judge: JudgeFigures, rate: Estimate | None) -> str | None:
    if rate is None:
        return "a win rate at equal lengths needs pairs, and eight samples"
    if rate.mean is not None:
        return None
    return "the budget left all questions" if judge.left else "no verdict could be read"
