"""Every file in `records` that has a `METRIC`, in order: nobody lists them a second time."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from fabula_api.metrics import records
from fabula_api.metrics.record import Metric


def _recorded() -> Iterator[Metric]:
    for module in pkgutil.iter_modules(records.__path__, records.__name__ + "."):
        metric = getattr(import_module(module.name), "METRIC", None)
        if not isinstance(metric, Metric):
            raise TypeError(f"{module.name} has no METRIC; every file there is one metric's record")
        yield metric


METRICS: dict[str, Metric] = {
    metric.name: metric for metric in sorted(_recorded(), key=lambda metric: (metric.place, metric.name))
}
"""Fabula's own, by name."""
NAMES: tuple[str, ...] = tuple(METRICS)
NAME_PATTERN = rf"^({'|'.join(NAMES)}|[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"
"""One of them, or `recipe/metric`. So a misspelt name is refused by the API server, and a recipe may bring its own."""
