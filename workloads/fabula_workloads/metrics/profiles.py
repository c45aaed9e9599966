"""The one way to measure an answer under a profile."""

from __future__ import annotations

from collections.abc import Iterable

from fabula_api.asked import Asked
from fabula_api.metrics import Metric, ProfileName
from fabula_workloads.metrics.brought import brought, figure, function_of, label
from fabula_workloads.metrics.reading import Reading

Values = dict[str, float | None]
"""Figures of one answer by metric; None where there is none."""
NOTHING_ASKED = Asked()


def measure(reading: Reading, profile: ProfileName, metrics: Iterable[Metric], asked: Asked = NOTHING_ASKED) -> Values:
    """The figures of one answer, as read under the profile, for those of the metrics that look at an answer alone."""
    return {
        metric.name: _figure(reading, profile, metric, asked)
        for metric in metrics
        if metric.over == "answer" and profile in metric.definitions
    }


def _figure(reading: Reading, profile: ProfileName, metric: Metric, asked: Asked) -> float | None:
    function = function_of(metric, profile)
    with brought(label(metric, profile)):
        return figure(function(reading, *([asked] if metric.with_asked else [])), metric, profile)
