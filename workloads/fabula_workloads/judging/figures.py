"""All that follows from a judge's ballots: the one function from replies to figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from fabula_api.rubrics import OVERALL, Rubric
from fabula_workloads.judging.agreement import Agreement, Item, agreement
from fabula_workloads.judging.ballots import FIRST, SECOND, TIE, Ballot, Verdict, pair_verdicts, scored_verdicts, scores
from fabula_workloads.judging.habits import Habits, habits
from fabula_workloads.judging.length_control import LengthControl, length_control
from fabula_workloads.judging.proportions import by_sample, outcomes, wilson, win_rate
from fabula_workloads.judging.self_test import SelfTestOutcome, self_test
from fabula_workloads.judging.strengths import strengths
from fabula_workloads.metrics.bootstrap import Estimate, estimate
from fabula_workloads.metrics.records import Key

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairFigures:
    """One arm against another."""

    arm: str
    versus: str
    win_rate: Estimate
    outcomes: Mapping[str, int]
    """Samples won, tied and lost."""
    criteria: Mapping[str, Estimate]
    """Win rate by criterion."""
    controlled: LengthControl | None
    """At equal lengths; None where points were given, and with few samples."""
    habits: Habits | None
    """Without the calls that looked at place or length alone; None where points were given, and with few samples."""
    longer: Estimate
    """Share of decided samples that the longer answer won."""
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """One judge."""

    name: str
    rubric: Rubric
    pairs: Sequence[PairFigures]
    points: Mapping[str, Mapping[str, float]]
    """Arm to sample to mean points; empty where pairs were compared."""
    means: Mapping[str, Estimate]
    """Mean points by arm."""
    strengths: Mapping[str, Estimate]
    """By arm; empty for two arms."""
    first: Estimate
    """Share of decided calls that took the first answer."""
    consistent: Estimate
    """Share of pairs on which both orders say the same."""
    unread: int
    """Questions on which no verdict could be read."""
    left: int
    """Questions that were not asked, for want of dollars."""
    self_test: SelfTestOutcome
    usd: float = 0.0
    calls: int = 0
    reasons: Mapping[tuple[str, int], Sequence[Ballot]] = field(default_factory=dict)
    """What was said of each sample and seed."""

    def pair(self, arm: str, versus: str) -> PairFigures | None:
        """The figures of a pair, as it was asked."""
        return next((pair for pair in self.pairs if (pair.arm, pair.versus) == (arm, versus)), None)

    @property
    def outcomes(self) -> dict[Item, str]:
        """Outcome of each item that was judged."""
        return {
            (verdict.arm, verdict.versus, verdict.sample, verdict.seed): verdict.outcome
            for pair in self.pairs
            for verdict in pair.verdicts
            if verdict.outcome is not None
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """All judges of an evaluation."""

    judges: Sequence[JudgeFigures] = ()
    agreements: Sequence[Agreement] = ()

    def of(self, name: str) -> JudgeFigures | None:
        """The figures of one judge."""
        return next((judge for judge in self.judges if judge.name == name), None)


def points_of(judged: Judged) -> dict[str, dict[str, dict[str, float]]]:
    """By rubric, arm and sample the mean of the judges' points, of those judges that give any."""
    given: dict[str, dict[str, dict[str, list[float]]]] = {}
    for judge in judged.judges:
        for arm, samples in judge.points.items():
            for sample, points in samples.items():
                given.setdefault(judge.rubric.name, {}).setdefault(arm, {}).setdefault(sample, []).append(points)
    return {
        rubric: {arm: {name: fmean(all_) for name, all_ in samples.items()} for arm, samples in arms.items()}
        for rubric, arms in given.items()
    }


def judge_figures(
    name: str,
    rubric: Rubric,
    ballots: Sequence[Ballot],
    pairs: Sequence[Pair],
    arms: Sequence[str],
    words: Mapping[Key, int],
    *,
    unread: int = 0,
    left: int = 0,
    usd: float = 0.0,
    calls: int = 0,
) -> JudgeFigures:
    """The figures of a judge; `words` has the length of each answer."""
    compared = [_pair(rubric, ballots, pair, words) for pair in pairs]
    verdicts = [verdict for pair in compared for verdict in pair.verdicts]
    points = {arm: _points(ballots, arm) for arm in arms} if rubric.scale is not None else {}
    real = [ballot for ballot in ballots if not ballot.probe]
    decided = [ballot.mark for ballot in real if len(ballot.shown) == 2 and ballot.mark in (FIRST, SECOND)]
    said: dict[tuple[str, int], list[Ballot]] = {}
    for ballot in real:
        said.setdefault((ballot.sample, ballot.seed), []).append(ballot)
    return JudgeFigures(
        name=name,
        rubric=rubric,
        pairs=compared,
        points=points,
        means={arm: estimate(list(values.values())) for arm, values in points.items()},
        strengths=(strengths(verdicts, arms) or {}) if len(arms) > 2 else {},
        first=wilson(decided.count(FIRST), len(decided)),
        consistent=_consistent(real),
        unread=unread,
        left=left,
        self_test=self_test(ballots),
        usd=usd,
        calls=calls,
        reasons=said,
    )


def agreements(judges: Sequence[JudgeFigures], people: Mapping[Item, str]) -> list[Agreement]:
    """Each two judges, and each judge with people, on what both judged."""
    compared = [
        agreement(judge.name, judge.outcomes, other.name, other.outcomes)
        for position, judge in enumerate(judges)
        for other in judges[position + 1 :]
    ]
    compared += [agreement(judge.name, judge.outcomes, "people", people) for judge in judges]
    return [agreed for agreed in compared if agreed is not None]


def _pair(rubric: Rubric, ballots: Sequence[Ballot], pair: Pair, words: Mapping[Key, int]) -> PairFigures:
    arm, versus = pair
    scaled = rubric.scale is not None
    verdicts = scored_verdicts(ballots, arm, versus) if scaled else pair_verdicts(ballots, arm, versus)
    return PairFigures(
        arm=arm,
        versus=versus,
        win_rate=win_rate(verdicts),
        outcomes=outcomes(verdicts),
        criteria={
            criterion.name: win_rate(verdicts, criterion.name)
            for criterion in rubric.criteria
            if criterion.name != OVERALL
        },
        controlled=None if scaled else length_control(ballots, arm, versus, words),
        habits=None if scaled else habits(ballots, arm, versus, words),
        longer=_longer(verdicts, words),
        verdicts=verdicts,
    )


def _points(ballots: Sequence[Ballot], arm: str) -> dict[str, float]:
    points = scores(ballots, arm)
    return by_sample((sample, marks[OVERALL]) for (sample, _), marks in points.items() if marks is not None)


def _longer(verdicts: Sequence[Verdict], words: Mapping[Key, int]) -> Estimate:
    """Decided verdicts on answers of different lengths, by whether the longer one won."""
    won = []
    for verdict in verdicts:
        more = words[verdict.arm, verdict.sample, verdict.seed] - words[verdict.versus, verdict.sample, verdict.seed]
        if more and verdict.value is not None and verdict.value != TIE:
            won.append((verdict.value > TIE) == (more > 0))
    return wilson(sum(won), len(won))


def _consistent(ballots: Sequence[Ballot]) -> Estimate:
    sides: dict[tuple[object, ...], list[Ballot]] = {}
    for ballot in ballots:
        if len(ballot.shown) == 2 and ballot.mark is not None:
            sides.setdefault((frozenset(ballot.shown), ballot.sample, ballot.seed, ballot.attempt), []).append(ballot)
    both = [
        (straight, turned)
        for straight, turned in (orders for orders in sides.values() if len(orders) == 2)
        if straight.shown != turned.shown
    ]
    same = sum(
        straight.mark == FIRST - turned.mark
        for straight, turned in both
        if straight.mark is not None and turned.mark is not None
    )
    return wilson(same, len(both))
