"""Can the judge tell at all? It is tried on pairs of which everybody knows the better one.

One that always takes the first, or the longer, or guesses, still yields a win rate with an interval. No gate may rest
on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fabula_workloads.judging.ballots import FIRST, SECOND, Ballot

ORIGINAL, DAMAGED = "original", "damaged"
"""In place of arms, in a probe."""
PADDED, SCRAMBLED = "padded", "scrambled"
"""Probes: an answer against itself said twice, and against itself with its words in disorder."""
LEAST_RIGHT = 0.8
"""Share of probes that a judge must get right. One that guesses gets there once in 1,000 times with 24 calls."""
_ALWAYS = 0.9
_FEWEST_CALLS = 8


@dataclass(frozen=True, slots=True)
class SelfTestOutcome:
    """How a judge stood its trial."""

    passed: bool
    message: str
    """What was seen; of a judge that failed, what it does instead of judging."""
    right: int = 0
    tried: int = 0


def self_test(ballots: Iterable[Ballot]) -> SelfTestOutcome:
    """The outcome, from the probes and from all other calls."""
    every = list(ballots)
    probes = [ballot for ballot in every if ballot.probe]
    pairs = [ballot for ballot in every if len(ballot.shown) == 2]
    right, tried = _right(probes)
    seen = f"{right} of {tried} probes right"
    if habit := _habit(pairs):
        return SelfTestOutcome(False, f"{habit}; {seen}", right, tried)
    if not tried:
        return SelfTestOutcome(False, "it was not tried: no probe could be read", right, tried)
    if right >= LEAST_RIGHT * tried:
        return SelfTestOutcome(True, seen, right, tried)
    padded = [ballot for ballot in probes if ballot.probe == PADDED]
    longer, of = _right(padded, better=DAMAGED)
    if of and longer >= LEAST_RIGHT * of:
        return SelfTestOutcome(False, f"it takes the longer answer, be it the same said twice; {seen}", right, tried)
    if _constant(probes):
        return SelfTestOutcome(False, f"it says the same of everything; {seen}", right, tried)
    return SelfTestOutcome(False, f"it does no better than a guess; {seen}", right, tried)


def _right(probes: Sequence[Ballot], better: str = ORIGINAL) -> tuple[int, int]:
    """Probes in which `better` was found better, of those that could be read."""
    right = tried = 0
    for ballot in probes:
        if len(ballot.shown) == 2 and ballot.mark is not None:
            tried += 1
            right += ballot.mark == (FIRST if ballot.shown[0] == better else SECOND)
    points = {
        (ballot.probe, ballot.sample, ballot.shown[0]): ballot.mark for ballot in probes if len(ballot.shown) == 1
    }
    for (probe, sample, shown), mark in points.items():
        other = points.get((probe, sample, DAMAGED))
        if shown == ORIGINAL and mark is not None and other is not None:
            tried += 1
            right += mark > other if better == ORIGINAL else mark < other
    return right, tried


def _habit(pairs: Sequence[Ballot]) -> str:
    """What the judge does whatever it is shown; empty where it does not."""
    decided = [mark for ballot in pairs if (mark := ballot.mark) in (FIRST, SECOND)]
    if len(decided) < _FEWEST_CALLS:
        return ""
    first = decided.count(FIRST) / len(decided)
    if 1 - _ALWAYS < first < _ALWAYS:
        return ""
    return f"it takes the {'first' if first > 0.5 else 'second'} answer in {max(first, 1 - first):.0%} of its calls"


def _constant(probes: Sequence[Ballot]) -> bool:
    marks = {ballot.mark for ballot in probes if ballot.mark is not None}
    return len(marks) == 1
