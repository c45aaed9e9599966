"""One arm against another over the samples that both have: everything that can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fabula_workloads.metrics.bootstrap import Estimate, estimate
from fabula_workloads.metrics.statistics.effect import ALPHA, samples_needed, standardized
from fabula_workloads.metrics.statistics.permutation import sign_flip_p


@dataclass(frozen=True, slots=True)
class Paired:
    """A difference by pairs of samples."""

    estimate: Estimate
    """Mean of the differences with its interval, and how many pairs there are."""
    p_value: float | None
    """By permutation, two-sided."""
    effect: float | None
    """Cohen's d of the differences; None where they have no scatter."""
    needed: int | None
    """Samples with which such an effect would be seen four times in five."""
    adjusted: float | None = None
    """The p-value after Holm's correction for all comparisons that were made."""

    @property
    def seen(self) -> bool:
        """Whether the difference is there, after correction for how many were looked at."""
        p_value = self.adjusted if self.adjusted is not None else self.p_value
        return p_value is not None and p_value < ALPHA


def compare(ours: Mapping[str, float], theirs: Mapping[str, float], seed: int = 0) -> Paired:
    """`ours - theirs` over the samples that both have. Figures are means over seeds, for a sample is the unit that was
    drawn: two answers to one sample are no independent evidence."""
    differences = [ours[sample] - theirs[sample] for sample in sorted(ours.keys() & theirs.keys())]
    effect = standardized(differences)
    return Paired(estimate(differences, seed), sign_flip_p(differences, seed), effect, samples_needed(effect))


def corrected(comparisons: Sequence[Paired]) -> list[Paired]:
    """The same with p-values adjusted for each other."""
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return [replace(comparison, adjusted=value) for comparison, value in zip(comparisons, adjusted, strict=True)]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values adjusted for how many there are, so that the chance of any false alarm stays where it is.

    Holm's step-down method (1979), which holds however the comparisons hang together. What is None stays so, and does
    not count.
    """
    known = [(value, place) for place, value in enumerate(p_values) if value is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (value, place) in enumerate(sorted(known)):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        adjusted[place] = highest
    return adjusted
