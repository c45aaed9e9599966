"""Two sets of figures by sample, compared as an EvalRun compares its arms: from CSV tables, whoever wrote them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabula_api.metrics import METRICS
from fabula_workloads.metrics.statistics.paired import Paired, compare, corrected

Table = dict[str, dict[str, dict[str, float]]]
"""arm -> column -> sample -> figure."""
_COLUMNS = sorted({metric.csv_column for metric in METRICS.values()}, key=len, reverse=True)
_NAME = "sample"


@dataclass(frozen=True, slots=True)
class Line:
    """One column of one arm against the baseline."""

    column: str
    arm: str
    versus: str
    means: tuple[float, float]
    paired: Paired
    left_out: int
    """Samples that only one of them has a figure of."""


def read_table(path: Path) -> Table:
    """The figures of a CSV file with a column `sample`. A column `words_tuned` is `words` of the arm `tuned`; one that
    names no arm belongs to the arm of the file's name. Cells that are empty are no figures.

    Raises ValueError, naming file, row and column.
    """
    table: Table = {}
    with path.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        if _NAME not in (rows.fieldnames or ()):
            raise ValueError(f"{path} has no column {_NAME}; it has {', '.join(rows.fieldnames or ['none'])}")
        places = {name: _place(name, path.stem) for name in rows.fieldnames or () if name != _NAME}
        for number, row in enumerate(rows, 2):
            for name, (column, arm) in places.items():
                cell = (row[name] or "").strip()
                figures = table.setdefault(arm, {}).setdefault(column, {})
                if cell and cell.lower() != "nan":
                    figures[row[_NAME]] = _number(cell, f"{path}: row {number}, column {name}")
    return table


def merged(tables: Sequence[tuple[str, Table]]) -> Table:
    """Several tables in one. Raises ValueError where two have an arm of one name."""
    whole: Table = {}
    for origin, table in tables:
        if twice := whole.keys() & table.keys():
            raise ValueError(f"{origin}: arm {min(twice)} is there twice")
        whole |= table
    return whole


def compared(table: Table, baseline: str | None = None) -> list[Line]:
    """Every arm against the baseline (default: the first arm), in each column that both have; p-values corrected for
    how many there are. Raises ValueError where there is nothing to compare."""
    if len(table) < 2:
        raise ValueError(f"there is nothing to compare {', '.join(table) or 'these files'} with: two arms are needed")
    base = baseline or next(iter(table))
    if base not in table:
        raise ValueError(f"baseline {base} is none of the arms {', '.join(table)}")
    pairs = [(arm, column) for arm in table if arm != base for column in table[arm] if column in table[base]]
    if not pairs:
        raise ValueError(f"no column of {', '.join(arm for arm in table if arm != base)} is among those of {base}")
    corrections = corrected([compare(table[arm][column], table[base][column]) for arm, column in pairs])
    return [_line(table, arm, base, column, paired) for (arm, column), paired in zip(pairs, corrections, strict=True)]


def _line(table: Table, arm: str, base: str, column: str, paired: Paired) -> Line:
    ours, theirs = table[arm][column], table[base][column]
    both = ours.keys() & theirs.keys()
    means = (_mean(ours, both), _mean(theirs, both))
    return Line(column, arm, base, means, paired, len(ours.keys() | theirs.keys()) - len(both))


def _mean(figures: Mapping[str, float], samples: set[str]) -> float:
    return sum(figures[sample] for sample in sorted(samples)) / len(samples) if samples else float("nan")


def _place(name: str, stem: str) -> tuple[str, str]:
    """(column, arm)."""
    for column in _COLUMNS:
        if name.startswith(f"{column}_"):
            return column, name.removeprefix(f"{column}_")
    return name, stem


def _number(cell: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{where}: {cell[:40]!r} is no number") from None
