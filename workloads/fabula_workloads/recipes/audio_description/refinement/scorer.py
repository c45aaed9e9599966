"""The scorer: a logistic regression over evidence, and how well it does on films that it has not seen. Pure.

Whoever is told of in training must be chosen as well, and as badly, as in evaluation. So no film is scored by a model
that has seen it: films of training by models of the other folds, films of validation by one of all training films.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict

from fabula_api.base import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS = 5
PENALTY = 1.0
"""Of the squared weights, in examples."""
_STEPS = 50


class Scorer(Record):
    """Weights of evidence, whose columns are taken in standard deviations from their mean."""

    model_config = ConfigDict(frozen=True)

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def scores(self, evidence: Any) -> Floats:
        """Probabilities of being named."""
        import numpy as np

        columns = (np.asarray(evidence, dtype=np.float64) - self.means) / self.deviations
        return _logistic(columns @ np.asarray(self.weights) + self.bias)


def fit(evidence: Any, named: Any) -> Scorer:
    """The weights that make what was seen likeliest, by Newton's method: the same examples give the same weights."""
    import numpy as np

    rows, wanted = np.asarray(evidence, dtype=np.float64), np.asarray(named, dtype=np.float64)
    means, deviations = rows.mean(axis=0), rows.std(axis=0)
    deviations = np.where(deviations > 0, deviations, 1.0)
    columns = np.hstack([(rows - means) / deviations, np.ones((len(rows), 1))])
    penalty = np.full(columns.shape[1], PENALTY)
    penalty[-1] = 1e-6
    weights = np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        likely = _logistic(columns @ weights)
        slope = columns.T @ (likely - wanted) + penalty * weights
        bend = (columns * (likely * (1 - likely))[:, None]).T @ columns + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        weights = weights - step
        if float(np.abs(step).max()) < 1e-10:
            break
    return Scorer(
        means=tuple(means.tolist()),
        deviations=tuple(deviations.tolist()),
        weights=tuple(weights[:-1].tolist()),
        bias=float(weights[-1]),
    )


def _logistic(values: Any) -> Floats:
    import numpy as np

    # Of large values only the sign counts, and exp of them would be a warning.
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -35.0, 35.0))), dtype=np.float64)


def scored_unseen(evidence: Any, named: Any, films: Sequence[str], validation: Iterable[str]) -> tuple[Floats, Scorer]:
    """A score of every example by a model that has not seen its film, and the model of all films but those of
    validation. Raises ValueError where there are fewer than two films to learn from, or nobody is named, or everybody.
    """
    import numpy as np

    rows, wanted, of = np.asarray(evidence, dtype=np.float64), np.asarray(named), np.asarray(films)
    held = np.isin(of, sorted(validation))
    known = sorted(set(of[~held].tolist()))
    if len(known) < 2:
        raise ValueError(f"it takes two films to learn from, and there {'is 1' if known else 'are none'}")
    whole = _fitted(rows[~held], wanted[~held])
    scores = whole.scores(rows)
    fold_of = {film: place % FOLDS for place, film in enumerate(known)}
    folds = np.asarray([fold_of.get(film, -1) for film in of.tolist()])
    for fold in range(min(FOLDS, len(known))):
        unseen = folds == fold
        scores[unseen] = _fitted(rows[~held & ~unseen], wanted[~held & ~unseen]).scores(rows[unseen])
    return scores, whole


def _fitted(rows: Any, wanted: Any) -> Scorer:
    if wanted.all() or not wanted.any():
        raise ValueError("descriptions name all of the candidates, or none of them")
    return fit(rows, wanted)


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """How a threshold does."""

    threshold: float
    told: int
    """Candidates at or above it."""
    right: int
    """Of them those that are named."""
    named: int
    """All candidates that are named."""


def at(threshold: float, scores: Any, named: Any) -> AtThreshold:
    """What precision and recall at a threshold are made of."""
    import numpy as np

    told, wanted = np.asarray(scores) >= threshold, np.asarray(named).astype(bool)
    return AtThreshold(threshold, int(told.sum()), int((told & wanted).sum()), int(wanted.sum()))
