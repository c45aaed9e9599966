"""How large a difference is beside its own scatter, and how many samples would show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

ALPHA, POWER = 0.05, 0.8
"""The error that is allowed, and how often a difference that is there should be seen."""


def standardized(differences: Sequence[float]) -> float | None:
    """Cohen's d of paired differences: their mean in units of their standard deviation (Cohen 1988, d_z).

    None below two pairs, and where all of them are one and the same difference, which has no scatter.
    """
    if len(differences) < 2:
        return None
    scatter = stdev(differences)
    mean = fmean(differences)
    if scatter <= 1e-12 * max(map(abs, differences)):
        return 0.0 if mean == 0 else None
    return mean / scatter


def samples_needed(effect: float | None, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Pairs with which a two-sided t-test sees such an effect (`standardized`) in a share `power` of evaluations.

    The normal approximation with Guenther's correction for the t distribution (1981); at most one off. None where no
    number is enough, or one would be.
    """
    if effect is None or effect == 0:
        return None
    normal = NormalDist()
    at_alpha, at_power = normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)
    needed = ((at_alpha + at_power) / effect) ** 2 + at_alpha**2 / 2
    return math.ceil(needed) if needed < 1e9 else None
