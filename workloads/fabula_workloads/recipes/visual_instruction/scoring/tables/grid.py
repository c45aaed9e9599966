"""A benchmark's table as the page shows it: a column a figure, a row an arm, and below them what watches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabula_workloads.report.markup import Markup, join, tag

DASH = "–"


@dataclass(frozen=True, slots=True)
class GridRow:
    """An arm, or a control."""

    name: str
    cells: Sequence[str]
    control: bool = False


def grid(title: str, hint: str, columns: Sequence[str], rows: Sequence[GridRow]) -> Markup:
    """The table below its title."""
    head = tag("tr", tag("th", ""), *(tag("th", name) for name in columns))
    body = [
        tag(
            "tr",
            tag("th", row.name, tag("span", "control") if row.control else None),
            *(tag("td", cell, class_="number") for cell in row.cells),
        )
        for row in rows
    ]
    table = tag("table", tag("thead", head), tag("tbody", *body))
    return join(tag("h3", title), tag("p", hint, class_="hint"), tag("div", table, class_="card scroll"))


def percent(value: float | None) -> str:
    """Of per cent; a dash where there is none."""
    return DASH if value is None else f"{value:.2f}"
