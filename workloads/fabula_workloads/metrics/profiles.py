"""A metric's function, and the one way to measure an answer under a profile."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from fabula_api.asked import Asked
from fabula_api.metrics import Metric, ProfileName
from fabula_workloads.metrics.reading import Reading

Values = dict[str, float | None]
"""Figures of one answer by metric; None where there is none."""
NOTHING_ASKED = Asked()


def measure(reading: Reading, profile: ProfileName, metrics: Iterable[Metric], asked: Asked = NOTHING_ASKED) -> Values:
    """The figures of one answer, as read under the profile, for those of the metrics that look at an answer alone."""
    return {
        metric.name: function_of(metric, profile)(reading, *([asked] if metric.with_asked else []))
        for metric in metrics
        if metric.over == "answer" and profile in metric.definitions
    }


@cache
def _named(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def function_of(metric: Metric, profile: ProfileName) -> Any:
    """The metric's function under a profile; only now are its libraries loaded."""
    return _named(metric.definitions[profile].function)
