"""Every metric with its kind, labels and meaning, read from where the code registers it.

Dashboards, alerts and `docs/reasons.md` go by this list, so that none asks for a series that nobody gives.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fabula_operator.handlers.call_metrics import CALL_METRICS, CallMetric
from fabula_operator.handlers.run_metrics import RUN, RUN_METRICS, RunMetric
from fabula_operator.handlers.run_series import RUNS, RUNS_ABOUT, RUNS_LABELS

_ROOT = Path(__file__).parents[2]
OPERATOR, WORKERS = "operator/fabula_operator", "workloads/fabula_workloads"
Type = Literal["counter", "gauge", "histogram"]
_TYPES: dict[str, Type] = {
    "Counter": "counter", "Gauge": "gauge", "Histogram": "histogram",
    "CounterMetricFamily": "counter", "GaugeMetricFamily": "gauge",
}  # fmt: skip


_OF_RUNS: tuple[RunMetric | CallMetric, ...] = (*RUN_METRICS, *CALL_METRICS)


@dataclass(frozen=True, slots=True)
class Known:
    """One metric."""

    name: str
    """As Prometheus has it."""
    type: Type
    labels: tuple[str, ...]
    about: str

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series."""
        return (
            tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
            if self.type == "histogram"
            else (self.name,)
        )


def metrics(folder: str) -> tuple[Known, ...]:
    """Every metric that code below a folder registers, by the alphabet."""
    registered = [metric for file in sorted((_ROOT / folder).rglob("*.py")) for metric in _registered(file)]
    if folder == OPERATOR:
        registered.append(_known(RUNS, "gauge", RUNS_LABELS, RUNS_ABOUT))
        registered += [
            _known(metric.name, "counter" if metric.counter else "gauge", (*RUN, *metric.labels), metric.about)
            for metric in _OF_RUNS
        ]
    return tuple(sorted(registered, key=lambda metric: metric.name))


def _known(name: str, type_: Type, labels: tuple[str, ...], about: str) -> Known:
    return Known(f"{name.removesuffix('_total')}_total" if type_ == "counter" else name, type_, labels, about)


def _registered(file: Path) -> Iterator[Known]:
    source = file.read_text()
    if "fabula_" not in source or not any(type_ in source for type_ in _TYPES):
        return
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or len(node.args) < 2:
            continue
        name, about = (argument.value if isinstance(argument, ast.Constant) else None for argument in node.args[:2])
        if (type_ := _TYPES.get(node.func.id)) and isinstance(name, str) and name.startswith("fabula_"):
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            labels = node.args[2] if len(node.args) > 2 else named.get("labels")
            yield _known(name, type_, tuple(_words(labels, constants)), str(about))


def _words(node: ast.expr | None, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """The texts of a literal list, with the constants of its module."""
    if isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from _words(element, constants)
    elif isinstance(node, ast.Starred):
        yield from _words(node.value, constants)
    elif isinstance(node, ast.Name):
        yield from _words(constants.get(node.id), constants)
    elif isinstance(node, ast.Constant):
        yield str(node.value)
