"""Showing runs while they work: a live table on a terminal, a line for each change everywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

from rich.box import HEAVY_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fabula_api.outside import plain

if TYPE_CHECKING:
    from fabula_cli.runs import Run

_ENDLESS = 10_000
"""Columns: wider than any table."""
_NAME = 24
"""Columns that the names of rows have at least, where they take several lines."""


def shown(text: str, style: str = "") -> Text:
    """Text from a cluster as a terminal may show it: no markup, no control or bidirectional characters."""
    return Text(plain(text), style=style)


class Display(Protocol):
    """Where progress goes."""

    def show(self, runs: Sequence[Run]) -> None:
        """The runs as they are now."""

    def tell(self, line: str) -> None:
        """Something that happened beside the runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDisplay:
    """One line for each change, with the seconds since the start: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._last: dict[tuple[str, str], str] = {}

    def show(self, runs: Sequence[Run]) -> None:
        for run in runs:
            line = run.line()
            if self._last.get((run.kind, run.name)) != line:
                self._last[(run.kind, run.name)] = line
                self.tell(line)

    def tell(self, line: str) -> None:
        self._console.print(shown(f"[{time.monotonic() - self._began:6.1f}s] {line}"), highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


_BESIDE = 44
"""Columns beside the names of runs in which the rest of a table can be read."""


def too_narrow(names: Iterable[str], width: int) -> bool:
    """Whether a terminal of that width holds no table of runs of these names; each has lines of its own then."""
    return max((len(plain(name)) for name in names), default=0) + _BESIDE > width


def lines(texts: Iterable[str]) -> Group:
    """Each on as many lines as it takes."""
    return Group(*(Text(plain(line), overflow="fold") for line in texts))


class LiveDisplay:
    """A table that redraws itself."""

    _COLOURS: ClassVar = {"Running": "cyan", "Succeeded": "green", "Failed": "red", "Suspended": "yellow"}

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def show(self, runs: Sequence[Run]) -> None:
        if too_narrow((f"{run.kind}/{run.name}" for run in runs), self._console.width):
            self._live.update(lines(run.line() for run in runs))
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("RUN", "STATE", "PROGRESS", "LOSS / SCORE", "ETA"):
            # Where it is narrow, what a run is doing takes several lines; its name stays whole.
            table.add_column(heading, no_wrap=heading in ("RUN", "STATE", "ETA"), overflow="fold")
        for run in runs:
            progress = run.status.get("progress") or {}
            metrics = run.status.get("metrics") or {}
            loss = metrics.get("loss") if isinstance(metrics, dict) else None
            figure = f"{loss:.3f}" if loss is not None else str(run.status.get("score") or "")
            colour = self._COLOURS.get(run.state, "white")
            doing = str(progress.get("summary") or run.status.get("reason") or "")
            eta = "" if run.finished else str(progress.get("eta") or "")
            cells = (f"{run.kind}/{run.name}", run.state, doing, figure, eta)
            table.add_row(*(shown(cell, colour if cell is run.state else "") for cell in cells))
        self._live.update(table)

    def tell(self, line: str) -> None:
        self._console.print(shown(line), highlight=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def display(console: Console, otherwise: PlainDisplay) -> Display:
    """A live table where there is a terminal; where there is none, the plain lines go on, by the same clock."""
    return LiveDisplay(console) if console.is_terminal else otherwise


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
