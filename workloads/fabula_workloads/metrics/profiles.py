"""How each profile reads an answer, and the one way to measure an answer's text under it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from fabula_api.metrics import METRICS, Metric, ProfileName
from fabula_workloads.metrics.reading import Reading
from fabula_workloads.metrics.transcript_file import dump, load
from fabula_workloads.metrics.turns import Turn, paper_v1_turns, tolerant_turns

Values = dict[str, float | None]
"""Figures of one answer by metric; None where there is none."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One version of the definitions, as a way to read."""

    name: ProfileName
    text_of: Callable[[str], str]
    """What it makes of an answer before it counts."""
    turns_of: Callable[[str], list[Turn]]

    def read(self, answer: str) -> Reading:
        """The answer as the metrics see it."""
        return Reading(answer, self.text_of(answer), self.turns_of)

    def measure(self, answer: str, metrics: Iterable[Metric] = METRICS.values()) -> Values:
        """The figures of one answer under those of the metrics that are defined for a text alone."""
        reading = self.read(answer)
        return {
            metric.name: function_of(metric, self.name)(reading)
            for metric in metrics
            if metric.over == "answer" and self.name in metric.definitions
        }

    def parseable(self, answer: str) -> bool:
        """Whether the profile reads at least one turn."""
        return bool(self.read(answer).turns)


@cache
def _named(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def function_of(metric: Metric, profile: ProfileName) -> Any:
    """The metric's function under a profile; only now are its libraries loaded."""
    return _named(metric.definitions[profile].function)


def _as_loaded(text: str) -> str:
    """The text after a round trip through the transcript file, as the published scripts see it."""
    return load(dump("sample", text, 0.0))


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (Profile("v2", str, tolerant_turns), Profile("paper-v1", _as_loaded, paper_v1_turns))
}
