"""A judge's calls on one pair of arms, as columns for a regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.metrics.records import Key

Floats = npt.NDArray[np.float64]
_FEWEST = 8
"""Samples below which nothing is fitted."""


@dataclass(frozen=True, slots=True)
class PairCalls:
    """A row for each call that could be read."""

    preferred: Floats
    """Whether the arm was preferred; a tie is 0.5."""
    place: Floats
    """0.5 where its answer was shown first, -0.5 else."""
    longer: Floats
    """Words that its answer has more than the other."""
    group: npt.NDArray[np.int_]
    """Number of the sample, whose calls are one piece of evidence."""


def pair_calls(ballots: Sequence[Ballot], arm: str, versus: str, words: Mapping[Key, int]) -> PairCalls | None:
    """The calls on a pair; `words` is the length of each answer. None with fewer than eight samples."""
    rows: list[tuple[float, float, float]] = []
    samples: list[str] = []
    for ballot in ballots:
        if ballot.mark is None or ballot.probe or set(ballot.shown) != {arm, versus} or len(ballot.shown) != 2:
            continue
        straight = ballot.shown[0] == arm
        longer = words[arm, ballot.sample, ballot.seed] - words[versus, ballot.sample, ballot.seed]
        rows.append((ballot.mark if straight else 1 - ballot.mark, 0.5 if straight else -0.5, float(longer)))
        samples.append(ballot.sample)
    if len(set(samples)) < _FEWEST:
        return None
    data = np.array(rows)
    return PairCalls(data[:, 0], data[:, 1], data[:, 2], np.unique(samples, return_inverse=True)[1])
