"""Confidence intervals and paired differences by the bootstrap: no assumption about a metric's distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

RESAMPLES = 2_000
_BLOCK = 4_000_000
"""Draws held at once; 32 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % percentile interval. The interval is absent below two samples, the mean below one."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


def estimate(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """The mean of `values`, one for each sample, and its interval. Same values and seed, same interval."""
    if not values:
        return Estimate(None, None, None, 0)
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 1:
        return Estimate(float(data[0]), None, None, 1)
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(data))
    means = np.concatenate(
        [
            data[generator.integers(0, len(data), size=(min(rows, resamples - start), len(data)))].mean(axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def per_sample(values: Mapping[tuple[str, int], float | None]) -> dict[str, float]:
    """Mean over seeds of each sample's figures; samples without any are left out.

    The sample is what is resampled: two seeds of one picture sequence are not independent evidence.
    """
    grouped: dict[str, list[float]] = {}
    for (sample, _seed), value in sorted(values.items()):
        if value is not None:
            grouped.setdefault(sample, []).append(value)
    return {sample: fmean(figures) for sample, figures in grouped.items()}


def paired_difference(ours: Mapping[str, float], theirs: Mapping[str, float], seed: int = 0) -> Estimate:
    """Mean of `ours - theirs` over the samples that both have, with its interval."""
    return estimate([ours[sample] - theirs[sample] for sample in sorted(ours.keys() & theirs.keys())], seed)
