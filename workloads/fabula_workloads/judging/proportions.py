"""Shares with Wilson's interval, which holds near 0 and 1 and for few samples (E. B. Wilson, JASA 22, 1927)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import fmean

from fabula_workloads.judging.ballots import Verdict
from fabula_workloads.metrics.bootstrap import Estimate

Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


def wilson(successes: float, count: float) -> Estimate:
    """The share with its 95 % interval. Ties count as half a success, which makes the interval rather too wide."""
    if count == 0:
        return Estimate(None, None, None, 0)
    share = successes / count
    whole = 1 + Z**2 / count
    middle = (share + Z**2 / (2 * count)) / whole
    half = Z / whole * math.sqrt(max(0.0, share * (1 - share)) / count + Z**2 / (4 * count**2))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), round(count))


def by_sample(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Mean of each sample's values: answers to one sample are not independent evidence."""
    grouped: dict[str, list[float]] = {}
    for sample, value in values:
        grouped.setdefault(sample, []).append(value)
    return {sample: fmean(figures) for sample, figures in sorted(grouped.items())}


def win_rate(verdicts: Iterable[Verdict], criterion: str | None = None) -> Estimate:
    """Share of samples that the arm wins, a tie being half a win; None counts where nothing could be read."""
    values = by_sample(
        (verdict.sample, verdict.value if criterion is None else verdict.criteria[criterion])
        for verdict in verdicts
        if verdict.value is not None and (criterion is None or criterion in verdict.criteria)
    )
    return wilson(sum(values.values()), len(values))


def outcomes(verdicts: Iterable[Verdict]) -> Mapping[str, int]:
    """Samples that the arm wins, ties and loses."""
    values = by_sample((verdict.sample, verdict.value) for verdict in verdicts if verdict.value is not None).values()
    return {
        "win": sum(value > 0.5 for value in values),
        "tie": sum(value == 0.5 for value in values),
        "loss": sum(value < 0.5 for value in values),
    }
