"""The win rate without a judge's habits: what remains when it takes the first answer, or the longer one, in some of its
calls without looking further.

Such calls pull a win rate towards one half, for in one of the two orders they are against the better answer. A judge
that follows a habit of place in a share p of its calls and one of length in a share q, and the answers' worth in the
rest, prefers the arm in a share

    1/2 + (w - 1/2) (1 - |p| - |q|)  +  p place  +  q length        place, length: +1/2 first or longer, -1/2 else

of calls, where w is the win rate of a judge without them. The right side is linear: p and q are its slopes by least
squares, and w follows. (Abbott's correction for guessing, J. Econ. Entomol. 18, 1925, with habits for guesses.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.calls import pair_calls
from fabula_workloads.judging.proportions import Z, wilson
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.records import Key

Floats = npt.NDArray[np.float64]
_LEAST_LEFT = 0.1
"""Share of calls without a habit, below which nothing is concluded from them."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Habits:
    """What a judge does whatever the answers are worth, and its win rate without that."""

    win_rate: Estimate
    """Of the arm. None where nearly all calls follow a habit."""
    place: Estimate
    """Share of calls that take the first answer for being first; below 0 the second."""
    length: Estimate
    """Share of calls that take the longer answer for being longer; below 0 the shorter. None where nobody can tell."""


def habits(ballots: Sequence[Ballot], arm: str, versus: str, words: Mapping[Key, int]) -> Habits | None:
    """Those of a judge in its calls on a pair; `words` is each answer's length. None with fewer than eight samples."""
    calls = pair_calls(ballots, arm, versus, words)
    return None if calls is None else fit(calls.preferred, calls.place, np.sign(calls.longer) / 2, calls.group)


def fit(preferred: Floats, place: Floats, longer: Floats, group: npt.NDArray[np.int_]) -> Habits:
    """Of calls: whether the arm was preferred (a tie is 0.5), place and length (0.5 first or longer, -0.5 else),
    and its sample, whose calls are one piece of evidence."""
    count = int(group.max()) + 1
    told_apart = bool(longer.std() > 0)
    columns = [np.ones_like(place), place] + ([longer] if told_apart else [])
    effects, covariance = _least_squares(np.column_stack(columns), preferred - 0.5, group)
    effects[np.abs(effects) < _ROUNDING] = 0.0
    place_share = _share(effects[1], covariance[1, 1], count)
    length_share = _share(effects[2], covariance[2, 2], count) if told_apart else Estimate(None, None, None, count)
    left = 1 - float(np.abs(effects[1:]).sum())
    if left < _LEAST_LEFT:
        return Habits(Estimate(None, None, None, count), place_share, length_share)
    slope = np.concatenate([[1.0], np.sign(effects[1:]) * effects[0] / left]) / left
    variance = float(slope @ covariance @ slope)
    return Habits(_rate(0.5 + float(effects[0]) / left, variance, left, count), place_share, length_share)


def _rate(rate: float, variance: float, left: float, count: int) -> Estimate:
    """With Wilson's interval of as many samples as give this variance: no more than there are without the habits'
    calls, for a judge without a doubt has none."""
    rate = min(1.0, max(0.0, rate))
    most = count * left**2
    spread = rate * (1 - rate)
    worth = min(most, spread / variance) if variance > 0 and spread > 0 else most
    interval = wilson(rate * worth, worth)
    return Estimate(rate, interval.low, interval.high, count)


def _share(effect: float, variance: float, count: int) -> Estimate:
    value, half = float(effect), Z * float(np.sqrt(max(0.0, variance)))
    return Estimate(value, value - half, value + half, count)


def _least_squares(design: Floats, target: Floats, group: npt.NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Coefficients, and their covariance by clusters (Liang and Zeger, 1986)."""
    spread = np.linalg.pinv(design.T @ design)
    effects: Floats = np.asarray(spread @ design.T @ target, dtype=np.float64)
    num_groups = int(group.max()) + 1
    sums: Floats = np.zeros((num_groups, design.shape[1]))
    np.add.at(sums, group, design * (target - design @ effects)[:, None])
    return effects, spread @ (sums.T @ sums) @ spread * (num_groups / max(1, num_groups - 1))
