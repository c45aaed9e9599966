"""Cohen's kappa between two judges, or a judge and people: agreement beyond what chance would give.

Its variance is that of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fabula_workloads.judging.proportions import Z
from fabula_workloads.metrics.bootstrap import Estimate

OUTCOMES = ("win", "tie", "loss")
Item = tuple[str, str, str, int]
"""(arm, versus, sample, seed)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two who judged the same items."""

    judge: str
    other: str
    """Another judge, or people."""
    kappa: Estimate
    """None where both said one and the same of all."""
    share: float
    """Items on which they say the same."""


def agreement(judge: str, ours: Mapping[Item, str], other: str, theirs: Mapping[Item, str]) -> Agreement | None:
    """Agreement on the items that both judged; None where there is none."""
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    kappa = cohens_kappa([ours[item] for item in both], [theirs[item] for item in both])
    return Agreement(judge, other, kappa, sum(ours[item] == theirs[item] for item in both) / len(both))


def cohens_kappa(ours: Sequence[str], theirs: Sequence[str]) -> Estimate:
    """Kappa with its 95 % interval."""
    places = {name: place for place, name in enumerate(sorted({*ours, *theirs}))}
    size, count = len(places), len(ours)
    table = np.zeros((size, size))
    for mine, other in zip(ours, theirs, strict=True):
        table[places[mine], places[other]] += 1 / count
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    seen, chance = float(np.trace(table)), float(rows @ columns)
    if chance >= 1 - 1e-12:
        return Estimate(None, None, None, count)
    kappa = (seen - chance) / (1 - chance)
    weights = rows[None, :] + columns[:, None]
    on = float((np.diag(table) * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    off = (1 - kappa) ** 2 * float((table * weights**2).sum() - (np.diag(table) * np.diag(weights) ** 2).sum())
    rest = (kappa - chance * (1 - kappa)) ** 2
    error = float(np.sqrt(max(0.0, on + off - rest) / count)) / (1 - chance)
    return Estimate(kappa, max(-1.0, kappa - Z * error), min(1.0, kappa + Z * error), count)
