"""One panel of a dashboard as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shape = Literal["lines", "number", "table"]

NS = 'namespace=~"$namespace"'
RUN = 'namespace=~"$namespace",name=~"$run"'


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query."""

    expr: str
    legend: str = ""
    """Name of each series, with labels in double braces."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel."""

    title: str
    queries: tuple[Query, ...]
    about: str
    """What it tells, and what to look for."""
    unit: str = "short"
    """Grafana's name of the unit."""
    shape: Shape = "lines"
    width: int = 8
    """Of 24."""
    height: int = 8
    foreign: bool = False
    """It shows series of somebody else's exporter, which a cluster may lack."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]


def panel(title: str, expr: str, legend: str, about: str, unit: str = "short", **more: object) -> Panel:
    """A panel with one query."""
    return Panel(title, (Query(expr, legend),), about, unit, **more)  # type: ignore[arg-type]
