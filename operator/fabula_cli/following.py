"""Showing runs while they work: a live table on a terminal, a line for each change everywhere else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fabula_cli.display import COLOURS, lines, shown, too_narrow
from fabula_cli.runs import figure, line, state, title
from fabula_operator.plan.seen.observed import Run


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
        self._last: dict[str, str] = {}

    def show(self, runs: Sequence[Run]) -> None:
        for run in runs:
            said = line(run)
            if self._last.get(title(run)) != said:
                self._last[title(run)] = said
                self.tell(said)

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

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def show(self, runs: Sequence[Run]) -> None:
        if too_narrow(map(title, runs), self._console.width):
            self._live.update(lines(line(run) for run in runs))
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("RUN", "STATE", "PROGRESS", "LOSS / SCORE", "ETA"):
            # Where it is narrow, what a run is doing takes several lines; its name stays whole.
            table.add_column(heading, no_wrap=heading in ("RUN", "STATE", "ETA"), overflow="fold")
        for run in runs:
            status, progress = run.status, run.status.progress
            colour = COLOURS.get(state(run), "white")
            doing = (progress.summary if progress else None) or status.reason or ""
            eta = progress.eta if progress and progress.eta and status.finished_at is None else ""
            # Its heading says what the figure is.
            cells = (title(run), state(run), doing, figure(run).removeprefix("loss "), eta)
            table.add_row(*(shown(cell, colour if column == 1 else "") for column, cell in enumerate(cells)))
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
