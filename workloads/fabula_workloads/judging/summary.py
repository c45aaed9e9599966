"""What a status shows of the judges, in the few bytes that a termination message has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_api.judge_results import JudgedArm, JudgedPair, JudgeFound
from fabula_workloads.judging.figures import Judged, JudgeFigures, PairFigures
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.summary import rounded, wire_size

LIMIT = 1_300
"""Bytes for all judges in the message, of those that a result has."""
_INTERVALS = ("controlledLow", "controlledHigh", "corrected", "correctedLow", "correctedHigh")
_SELF_TEST_CHARACTERS = 120


def judges_found(judged: Judged, limit: int = LIMIT) -> list[dict[str, Any]]:
    """Each judge as in EvalRun's status. Where that is too long, what the report tells anyway goes first: words, kappas
    and habits, then intervals; the win rates and whether the judge is to be trusted stay."""
    judges = [_in_status(judge, judged) for judge in judged.judges]
    for dropped in (("selfTest",), ("agreement", "longer", "consistent", "first"), ("arms",)):
        if wire_size(judges) <= limit:
            return judges
        judges = [_without(judge, dropped) for judge in judges]
    if wire_size(judges) > limit:
        judges = [
            {**judge, "pairs": [_without(pair, _INTERVALS) for pair in judge.get("pairs", ())]} for judge in judges
        ]
    if wire_size(judges) > limit:
        judges = [{**judge, "pairs": [_kept(pair) for pair in judge.get("pairs", ())]} for judge in judges]
    return judges


def _kept(pair: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in pair.items() if key in ("arm", "versus", "winRate", "low", "high")}


def _in_status(judge: JudgeFigures, judged: Judged) -> dict[str, Any]:
    kappas = {
        (two.other if two.judge == judge.name else two.judge): rounded(two.kappa.mean)
        for two in judged.agreements
        if judge.name in (two.judge, two.other) and two.kappa.mean is not None
    }
    arms = [
        JudgedArm(
            arm=arm,
            points=rounded(judge.means[arm].mean) if arm in judge.means else None,
            low=rounded(judge.means[arm].low) if arm in judge.means else None,
            high=rounded(judge.means[arm].high) if arm in judge.means else None,
            strength=rounded(judge.strengths[arm].mean) if arm in judge.strengths else None,
        )
        for arm in dict.fromkeys([*judge.means, *judge.strengths])
    ]
    wire = JudgeFound(
        name=judge.name,
        pairs=[_pair(pair) for pair in judge.pairs],
        arms=arms,
        unread=judge.unread,
        first=_mean(judge.first),
        consistent=_mean(judge.consistent),
        longer=_mean(judge.pairs[0].longer) if len(judge.pairs) == 1 else None,
        agreement={name: value for name, value in kappas.items() if value is not None},
        trusted=judge.self_test.passed,
        self_test=judge.self_test.message[:_SELF_TEST_CHARACTERS],
    ).to_wire()
    return {key: value for key, value in wire.items() if value not in ([], {})}


def _pair(pair: PairFigures) -> JudgedPair:
    none = Estimate(None, None, None, 0)
    rate = pair.controlled.win_rate if pair.controlled else none
    corrected = pair.habits.win_rate if pair.habits else none
    return JudgedPair(
        arm=pair.arm,
        versus=pair.versus,
        win_rate=_mean(pair.win_rate),
        low=rounded(pair.win_rate.low),
        high=rounded(pair.win_rate.high),
        controlled=_mean(rate),
        controlled_low=rounded(rate.low),
        controlled_high=rounded(rate.high),
        corrected=_mean(corrected),
        corrected_low=rounded(corrected.low),
        corrected_high=rounded(corrected.high),
        wins=pair.outcomes["win"],
        ties=pair.outcomes["tie"],
        losses=pair.outcomes["loss"],
    )


def _mean(estimate: Estimate) -> float | None:
    return rounded(estimate.mean)


def _without(entry: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in names}
