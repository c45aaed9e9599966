"""What a cluster says, as a terminal may show it: texts, lines, and tables of figures that nothing is cut from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import HEAVY_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fabula_api.outside import plain

COLOURS = {"Running": "cyan", "Succeeded": "green", "Failed": "red", "Suspended": "yellow", "Missing": "red"}
"""Of a run's state."""
_ENDLESS = 10_000
"""Columns: wider than any table."""
_NAME = 24
"""Columns that the names of rows have at least, where they take several lines."""


def shown(text: str, style: str = "") -> Text:
    """Text from a cluster as a terminal may show it: no markup, no control or bidirectional characters."""
    return Text(plain(text), style=style)


_BESIDE = 44
"""Columns beside the names of runs in which the rest of a table can be read."""


def too_narrow(names: Iterable[str], width: int) -> bool:
    """Whether a terminal of that width holds no table of runs of these names; each has lines of its own then."""
    return max((len(plain(name)) for name in names), default=0) + _BESIDE > width


def lines(texts: Iterable[str]) -> Group:
    """Each on as many lines as it takes."""
    return Group(*(Text(plain(line), overflow="fold") for line in texts))


@dataclass(frozen=True, slots=True)
class Figures:
    """Rows of figures under a header, the first cell of each its name. Nothing is cut: where a terminal is too narrow
    for a table, intervals go below their means, then names take several lines, and then each row does."""

    rows: Sequence[Sequence[str]]
    """The header first."""
    title: str = ""
    ruled: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        broken = [[cell.replace(" [", "\n[") for cell in row] for row in self.rows]
        folded = max(0, max(len(plain(row[0])) for row in self.rows) - _NAME)
        for rows, spared in ((self.rows, 0), (broken, 0), (broken, folded)):
            table = self._table(rows, folds=spared > 0)
            wanted = Measurement.get(console, options.update(max_width=_ENDLESS), table).maximum
            if wanted - spared <= options.max_width:
                yield table
                return
        yield from self._lines()

    def _table(self, rows: Sequence[Sequence[str]], folds: bool) -> Table:
        title = shown(self.title) if self.title else None
        box = HEAVY_HEAD if self.ruled else None
        table = Table(title=title, title_justify="left", box=box, pad_edge=self.ruled)
        for index, heading in enumerate(rows[0]):
            side: Literal["left", "right"] = "left" if index == 0 else "right"
            table.add_column(_cell(heading), justify=side, no_wrap=index > 0 or not folds, overflow="fold")
        for row in rows[1:]:
            table.add_row(*map(_cell, row))
        return table

    def _lines(self) -> Iterator[Text]:
        headings, rows = self.rows[0][1:], self.rows[1:]
        width = max((len(plain(heading)) for heading in headings), default=0)
        if self.title:
            yield shown(self.title, "italic")
        for name, *cells in rows:
            yield shown(name, "bold")
            for heading, cell in zip(headings, cells, strict=True):
                if cell:
                    yield shown(f"  {plain(heading):{width}}  {cell}")


def _cell(text: str) -> Text:
    """A cell's lines, each as a terminal may show it."""
    return Text("\n").join(shown(line) for line in text.split("\n"))
