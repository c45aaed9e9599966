"""Bradley-Terry strengths: one order of more than two arms from all their pairs.

Fitted by Hunter's iteration (Annals of Statistics 32, 2004); a tie is half a win for both. One tie is added to each
pair that was judged, so that an arm that never lost has a finite strength.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fabula_workloads.judging.ballots import Verdict
from fabula_workloads.metrics.bootstrap import Estimate

Floats = npt.NDArray[np.float64]
_RESAMPLES = 500
_STEPS, _CLOSE = 2_000, 1e-9


def strengths(verdicts: Sequence[Verdict], arms: Sequence[str], seed: int = 0) -> dict[str, Estimate] | None:
    """Each arm's log strength, of mean zero, with a 95 % bootstrap interval over samples.

    The difference of two is the log odds that one beats the other. None where not all arms are linked by pairs.
    """
    read = [verdict for verdict in verdicts if verdict.value is not None]
    place = {arm: index for index, arm in enumerate(arms)}
    samples = {sample: index for index, sample in enumerate(sorted({verdict.sample for verdict in read}))}
    won = np.zeros((len(samples), len(arms), len(arms)))
    for verdict in read:
        assert verdict.value is not None
        row, column = place[verdict.arm], place[verdict.versus]
        won[samples[verdict.sample], row, column] += verdict.value
        won[samples[verdict.sample], column, row] += 1 - verdict.value
    whole = won.sum(axis=0)
    met = (whole + whole.T) > 0
    if len(arms) < 2 or not _linked(met):
        return None
    added = met * 0.5
    fitted = fit((whole + added)[None])[0]
    generator = np.random.default_rng(seed)
    times = generator.multinomial(len(samples), np.full(len(samples), 1 / len(samples)), size=_RESAMPLES)
    again = fit(np.tensordot(times.astype(float), won, axes=1) + added)
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    return {
        arm: Estimate(float(fitted[index]), float(low[index]), float(high[index]), len(samples))
        for arm, index in place.items()
    }


def fit(won: Floats) -> Floats:
    """Log strengths of several tables of wins (table, winner, loser) at once."""
    wins, games = won.sum(axis=2), won + won.transpose(0, 2, 1)
    power = np.ones(wins.shape)
    for _ in range(_STEPS):
        new = wins / (games / (power[:, :, None] + power[:, None, :])).sum(axis=2)
        new /= np.exp(np.log(new).mean(axis=1, keepdims=True))
        change, power = float(np.abs(np.log(new / power)).max()), new
        if change < _CLOSE:
            break
    return np.asarray(np.log(power), dtype=np.float64)


def _linked(met: npt.NDArray[np.bool_]) -> bool:
    reached = {0}
    while more := {int(other) for arm in reached for other in np.flatnonzero(met[arm])} - reached:
        reached |= more
    return len(reached) == len(met)
