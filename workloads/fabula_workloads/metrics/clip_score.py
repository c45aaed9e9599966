"""CLIPScore as pure arithmetic on embeddings: no model here, so every rule can be tested by hand.

For each picture the best passage of the answer counts; a picture is covered when that passage fits it better than
passages fit pictures that do not belong to them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Rows of unit length."""

CONTROL_QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class Grounding:
    """How well one answer fits its pictures."""

    score: float
    """Mean over the pictures of 100 x the cosine with the best passage."""
    control: float | None
    """The same text on the pictures of another sample; None when there is no other."""
    coverage: float | None
    """Share of pictures whose best passage scores above 95 % of the control; chance gives 0.05."""


def best_passages(pictures: Vectors, passages: Vectors) -> npt.NDArray[np.float64]:
    """For each picture, 100 x its cosine with the passage that fits it best. May be negative: no floor is applied."""
    return np.asarray(100.0 * (pictures @ passages.T).max(axis=1), dtype=np.float64)


def other_samples(samples: Sequence[str], seed: int = 0) -> dict[str, str]:
    """A partner for each sample, never itself: the next one in a seeded order. Empty below two samples."""
    order = sorted(samples)
    if len(order) < 2:
        return {}
    random.Random(seed).shuffle(order)  # noqa: S311 - a reproducible order, not a secret
    return dict(zip(order, order[1:] + order[:1], strict=True))


def ground(
    answers: Mapping[tuple[str, str, int], Vectors], pictures: Mapping[str, Vectors], seed: int = 0
) -> dict[tuple[str, str, int], Grounding]:
    """Grounding of each answer, by (arm, sample, seed). Answers without a passage are left out.

    The control threshold is one for all arms, so that coverage compares them.
    """
    partner = other_samples(list(pictures), seed)
    own_scores = {key: best_passages(pictures[key[1]], text) for key, text in answers.items() if len(text)}
    control = {key: best_passages(pictures[partner[key[1]]], answers[key]) for key in own_scores if key[1] in partner}
    threshold = float(np.quantile(np.concatenate(list(control.values())), CONTROL_QUANTILE)) if control else None
    return {
        key: Grounding(
            score=float(scores.mean()),
            control=float(control[key].mean()) if key in control else None,
            coverage=float((scores > threshold).mean()) if threshold is not None else None,
        )
        for key, scores in own_scores.items()
    }


def paper_v1_score(pictures: Vectors, text: Vectors) -> float:
    """The published score: mean over at most five pictures of 100 x the cosine with one text vector, floored at 0."""
    return max(0.0, float((100.0 * (pictures[:5] @ text.reshape(-1))).mean()))
