"""The length-controlled win rate: what a judge would prefer if both answers were as long, and shown in neither place.

AlpacaEval 2's regression (Dubois et al., "Length-Controlled AlpacaEval", 2024): the log odds of a preference are an
effect of the arm plus one of tanh(difference of lengths / its standard deviation); the win rate is what the fit
predicts at a difference of zero. Beside it stands a term for the place in which an answer was shown. Its term for the
difficulty of an instruction is left out: it is estimated from many models' verdicts on each, of which a run has a few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.calls import pair_calls
from fabula_workloads.judging.proportions import Z
from fabula_workloads.metrics.bootstrap import Estimate
from fabula_workloads.metrics.records import Key

Floats = npt.NDArray[np.float64]
_PRIOR_SD = 2.5
"""Of each effect in log odds: it keeps the fit finite where all verdicts are alike (Gelman et al., 2008)."""
_STEPS, _CLOSE = 100, 1e-10


@dataclass(frozen=True, slots=True)
class LengthControl:
    """What the regression found for a pair of arms."""

    win_rate: Estimate
    """Of the arm, at equal lengths and in no place."""
    length: Estimate
    """Log odds that the longest of answers gains over one of equal length; an interval above 0 is a length bias."""
    position: Estimate
    """Log odds that the first place gains over the second."""


def length_control(ballots: Sequence[Ballot], arm: str, versus: str, words: Mapping[Key, int]) -> LengthControl | None:
    """The regression over all calls on a pair; `words` is each answer's length. None with fewer than eight samples."""
    calls = pair_calls(ballots, arm, versus, words)
    return None if calls is None else fit(calls.preferred, calls.place, calls.longer, calls.group)


def fit(preferred: Floats, place: Floats, longer: Floats, group: npt.NDArray[np.int_]) -> LengthControl:
    """Of calls: whether the arm was preferred (a tie is 0.5), its place (0.5 first, -0.5 second), by how many words its
    answer is longer, and its sample. Intervals are of the sandwich that takes a sample's calls for one piece of
    evidence.
    """
    spread = float(longer.std())
    length = np.tanh(longer / spread) if spread > 0 else np.zeros_like(longer)
    design = np.column_stack([np.ones_like(place), place, length])
    effects, covariance = logistic(design, preferred, group)
    errors = np.sqrt(np.diag(covariance))
    count = int(group.max()) + 1
    arm, first, long = (
        Estimate(float(effect), float(effect - Z * error), float(effect + Z * error), count)
        for effect, error in zip(effects, errors, strict=True)
    )
    assert arm.mean is not None
    assert arm.low is not None
    assert arm.high is not None
    rate = Estimate(_logistic(arm.mean), _logistic(arm.low), _logistic(arm.high), count)
    return LengthControl(rate, long if spread > 0 else Estimate(None, None, None, count), first)


def logistic(design: Floats, target: Floats, group: npt.NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Coefficients of a logistic regression by Newton's method, and their covariance: that of clusters (Liang and
    Zeger, 1986), but never less than the model's own, which holds where all verdicts are alike."""
    prior = np.eye(design.shape[1]) / _PRIOR_SD**2
    effects: Floats = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-design @ effects))
        slope = design.T @ (target - chance) - prior @ effects
        bend = design.T @ (design * (chance * (1 - chance))[:, None]) + prior
        step = np.linalg.solve(bend, slope)
        effects = np.asarray(effects + step, dtype=np.float64)
        if float(np.abs(step).max()) < _CLOSE:
            break
    chance = 1 / (1 + np.exp(-design @ effects))
    spread = np.linalg.inv(design.T @ (design * (chance * (1 - chance))[:, None]) + prior)
    num_groups = int(group.max()) + 1
    sums: Floats = np.zeros((num_groups, design.shape[1]))
    np.add.at(sums, group, design * (target - chance)[:, None])
    robust = spread @ (sums.T @ sums) @ spread * (num_groups / max(1, num_groups - 1))
    wider = np.sqrt(np.maximum(1.0, np.diag(spread) / np.maximum(np.diag(robust), 1e-300)))
    return effects, robust * np.outer(wider, wider)


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))
