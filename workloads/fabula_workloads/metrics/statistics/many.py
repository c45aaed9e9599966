"""Many comparisons at once: one of twenty is below 0.05 by chance alone."""

from __future__ import annotations

from collections.abc import Sequence


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
