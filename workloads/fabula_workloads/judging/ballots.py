"""What one call of a judge said, and the verdicts that follow: two orders of a pair have to agree, or it is a tie.

A rubric with a scale and one without are the same thing here: a ballot marks the answers it was shown, one or two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean

OVERALL = "overall"
"""The criterion that decides."""
FIRST, TIE, SECOND = 1.0, 0.5, 0.0
"""Marks of a pair: which answer was better, by the place in which it was shown."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One call, as it was read."""

    sample: str
    seed: int
    shown: tuple[str, ...]
    """The arms whose answers were shown, in order: two, or one under a rubric with a scale."""
    marks: Mapping[str, float] | None
    """Criterion to mark: of a pair FIRST, TIE or SECOND, else points. None where no reply could be read."""
    attempt: int = 0
    reason: str = ""
    """The judge's own words."""
    probe: str = ""
    """What the judge was tried with, where this is no verdict on an answer but on the judge."""

    @property
    def mark(self) -> float | None:
        """The one that decides; None where no reply could be read."""
        return None if self.marks is None else self.marks[OVERALL]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge holds of two arms' answers to one sample and seed."""

    sample: str
    seed: int
    arm: str
    versus: str
    value: float | None
    """From 0 (the other is better) to 1; several tries are averaged. None where no try could be read."""
    criteria: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def outcome(self) -> str | None:
        """`win`, `tie` or `loss` of the arm."""
        if self.value is None:
            return None
        return "win" if self.value > TIE else "loss" if self.value < TIE else "tie"


def pair_verdicts(ballots: Iterable[Ballot], arm: str, versus: str) -> list[Verdict]:
    """The verdicts on a pair of arms, in order of sample and seed."""
    on_pair = [
        ballot
        for ballot in ballots
        if not ballot.probe and set(ballot.shown) == {arm, versus} and len(ballot.shown) == 2
    ]
    on_pair.sort(key=_item)
    return [_of_orders(list(group), arm, versus) for _, group in groupby(on_pair, key=_item)]


def scored_verdicts(ballots: Iterable[Ballot], arm: str, versus: str) -> list[Verdict]:
    """The verdicts that points imply: the answer with more of them is better."""
    points = {each: scores(ballots, each) for each in (arm, versus)}
    verdicts = []
    for key in sorted(points[arm].keys() & points[versus].keys()):
        ours, theirs = points[arm][key], points[versus][key]
        if ours is None or theirs is None:
            verdicts.append(Verdict(*key, arm, versus, None))
        else:
            criteria = {name: _above(ours[name], theirs[name]) for name in ours.keys() & theirs.keys()}
            verdicts.append(Verdict(*key, arm, versus, criteria[OVERALL], criteria))
    return verdicts


def scores(ballots: Iterable[Ballot], arm: str) -> dict[tuple[str, int], dict[str, float] | None]:
    """An arm's points by sample and seed, and criterion; several tries are averaged."""
    on_arm = sorted((ballot for ballot in ballots if not ballot.probe and ballot.shown == (arm,)), key=_item)
    points: dict[tuple[str, int], dict[str, float] | None] = {}
    for key, group in groupby(on_arm, key=_item):
        read = [ballot.marks for ballot in group if ballot.marks is not None]
        points[key] = {name: fmean(marks[name] for marks in read) for name in read[0]} if read else None
    return points


def _item(ballot: Ballot) -> tuple[str, int]:
    return ballot.sample, ballot.seed


def _of_orders(ballots: Sequence[Ballot], arm: str, versus: str) -> Verdict:
    sample, seed = ballots[0].sample, ballots[0].seed
    values: list[dict[str, float]] = []
    for attempt in sorted({ballot.attempt for ballot in ballots}):
        sides = {ballot.shown: ballot.marks for ballot in ballots if ballot.attempt == attempt}
        straight, turned = sides.get((arm, versus)), sides.get((versus, arm))
        if straight is not None and turned is not None:
            values.append({name: _agreed(straight[name], FIRST - turned[name]) for name in straight})
    reasons = tuple(ballot.reason for ballot in ballots if ballot.reason)
    if not values:
        return Verdict(sample, seed, arm, versus, None, reasons=reasons)
    criteria = {name: fmean(marks[name] for marks in values) for name in values[0]}
    return Verdict(sample, seed, arm, versus, criteria[OVERALL], criteria, reasons)


def _agreed(straight: float, turned: float) -> float:
    """What both orders say of the arm, else a tie: also where one prefers it and the other cannot tell."""
    return straight if straight == turned else TIE


def _above(ours: float, theirs: float) -> float:
    return FIRST if ours > theirs else SECOND if ours < theirs else TIE
