"""Showing runs while they work: a live table on a terminal, a line for each change everywhere else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fabula_api.outside import plain

if TYPE_CHECKING:
    from fabula_cli.runs import Run


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


class LiveDisplay:
    """A table that redraws itself."""

    _COLOURS: ClassVar = {"Running": "cyan", "Succeeded": "green", "Failed": "red", "Suspended": "yellow"}

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def show(self, runs: Sequence[Run]) -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("RUN", "STATE", "PROGRESS", "LOSS / SCORE", "ETA"):
            table.add_column(heading, no_wrap=True, overflow="ellipsis")
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


def display(console: Console) -> Display:
    """A live table where there is a terminal, plain lines where there is none."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def figures(rows: Sequence[Sequence[str]], title: str) -> Table:
    """A table of figures with the first row as header; numbers to the right."""
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(rows[0]):
        table.add_column(shown(heading), justify="left" if index == 0 else "right")
    for row in rows[1:]:
        table.add_row(*map(shown, row))
    return table
