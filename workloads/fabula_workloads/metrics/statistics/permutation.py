"""How often chance alone makes a difference as large: the permutation test of paired samples.

Were two arms the same, each sample's difference could as well have the other sign. No distribution is assumed (Fisher,
The Design of Experiments, 1935, section 21).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

EXACT_UP_TO = 14
"""Pairs for which all signs are tried, 16,384 at most; above it, `RESAMPLES` drawn ones."""
RESAMPLES = 9_999
_BLOCK = 8_000_000
"""Signs held at once."""
_SLACK = 1e-12
"""Sums of the same numbers in another order differ by less, relative to their size."""


def sign_flip_p(differences: Sequence[float], seed: int = 0) -> float | None:
    """Two-sided p-value of a mean of paired differences against none. None below two pairs.

    Where signs are drawn, what was seen counts as one of the draws, so it is never 0 (Phipson and Smyth 2010).
    """
    data = np.asarray(differences, dtype=np.float64)
    if len(data) < 2:
        return None
    least = abs(float(data.sum())) - _SLACK * float(np.abs(data).sum())
    if len(data) <= EXACT_UP_TO:
        return float(_as_large(data, _all_signs(len(data)), least) / 2 ** len(data))
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(data))
    as_large = sum(
        _as_large(data, generator.integers(0, 2, (min(rows, RESAMPLES - start), len(data)), dtype=np.int8), least)
        for start in range(0, RESAMPLES, rows)
    )
    return (as_large + 1) / (RESAMPLES + 1)


def _as_large(data: npt.NDArray[np.float64], turned: npt.NDArray[np.int8], least: float) -> int:
    """Rows of signs (1: turned) under which the sum is as large as what was seen."""
    sums = data.sum() - 2 * (turned @ data)
    return int((np.abs(sums) >= least).sum())


def _all_signs(count: int) -> npt.NDArray[np.int8]:
    return ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(np.int8)
