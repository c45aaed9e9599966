"""Figures of single answers by a metric that looks at all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fabula_api.metrics import ProfileName
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer, Key, Tried


@dataclass(frozen=True, slots=True)
class PerAnswer:
    """A `Computed`."""

    metric: str
    figures: Mapping[tuple[str, Key], float | None]
    label: str | None = None
    tests: Sequence[Tried] = field(default_factory=tuple)

    def value(self, profile: str, key: Key) -> float | None:
        """The figure of one answer."""
        return self.figures.get((profile, key))


def per_answer(metric: str, given: Materials, measure: Callable[[GivenAnswer, ProfileName], float | None]) -> PerAnswer:
    """The figures of all answers that were given, under each profile."""
    figures: dict[tuple[str, Key], float | None] = {}
    for profile in given.profiles:
        for number, answer in enumerate(given.answers):
            if number % 256 == 0:
                given.progress()
            if answer.text is not None:
                figures[profile, answer.key] = measure(answer, profile)
    return PerAnswer(metric, figures)
