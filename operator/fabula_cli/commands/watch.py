"""`fabula watch`: bars that move on a terminal, a line for each change elsewhere, until every run has finished."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from fabula_cli.access import Context, Everywhere, Kubeconfig, Namespace, Runs, access
from fabula_cli.commands.status import stands, why
from fabula_cli.display import COLOURS, lines, shown, too_narrow
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.output import Output
from fabula_cli.runs import artifact_uri, figure, finished, state, title
from fabula_operator.plan.seen.observed import Run


@dataclass(frozen=True, slots=True)
class Row:
    """One run as it stands, in cells."""

    run: str
    state: str
    percent: int | None
    doing: str
    figure: str
    """Loss or score."""
    left: str

    def line(self) -> str:
        """For a log: everything that is known, and nothing that is not."""
        percent = f"{self.percent}%" if self.percent is not None and self.state == "Running" else ""
        parts = (self.run, self.state, percent, self.doing, self.figure, f"{self.left} left" if self.left else "")
        return "  ".join(part for part in parts if part)


def row(run: Run) -> Row:
    """The cells of a run."""
    status = run.status
    progress = status.progress
    doing = why(run) or (progress.summary if progress else None) or ""
    if status.state == "Succeeded":
        doing = artifact_uri(run) or ""
    elif status.state == "Running" and progress and progress.summary:
        doing = progress.summary + (f" ({status.reason})" if status.reason else "")
    percent = 100 if status.state == "Succeeded" else progress.percent if progress else None
    left = "" if status.finished_at is not None or progress is None else progress.eta or ""
    return Row(title(run), state(run), percent, doing, figure(run), left)


def bars(rows: Sequence[Row], width: int) -> RenderableType:
    """The rows as a table with a bar in each; as lines, where so many columns hold none."""
    if too_narrow((row.run for row in rows), width):
        return lines(row.line() for row in rows)
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    # Where it is narrow, what a run is doing takes several lines; what tells runs apart stays whole.
    for ratio in (None, None, 2, 5, None, None):
        table.add_column(no_wrap=ratio is None, overflow="fold", ratio=ratio)
    for row in rows:
        colour = COLOURS.get(row.state, "white")
        bar = ProgressBar(total=100, completed=row.percent or 0, complete_style=colour, finished_style=colour)
        cells = (shown(row.doing), shown(row.figure), shown(row.left))
        table.add_row(shown(row.run), shown(row.state, colour), bar, *cells)
    return table


def over(runs: Sequence[Run]) -> bool:
    """Whether every run has finished, with the spec that it has now."""
    return all(map(finished, runs))


def watch(
    runs: Runs = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    everywhere: Everywhere = False,
    output: Output = "text",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    timeout: Annotated[float | None, typer.Option(min=0, help="Give up after this many seconds, with exit 6.")] = None,
) -> None:
    """Follow runs until all have finished: exit 0 when all succeeded, 1 when one failed, 6 after --timeout."""
    with told():
        reach = access(kubeconfig, context, namespace, everywhere)
        deadline = None if timeout is None else time.monotonic() + timeout
        console = Console(soft_wrap=True)
        live = Live(console=console, refresh_per_second=4) if console.is_terminal and output == "text" else None
        last: dict[str, Row] = {}
        with live or nullcontext():
            while True:
                followed = reach.runs(runs or ())
                if not followed:
                    raise CommandFailed(Exit.ABSENT, f"there are no runs in namespace {reach.namespace}")
                rows = {run.identity.uid: row(run) for run in followed}
                if live is not None:
                    live.update(bars(list(rows.values()), console.width))
                else:
                    for uid, current in rows.items():
                        if last.get(uid) != current:
                            _tell(console, current, output)
                last = rows
                if over(followed):
                    break
                if deadline is not None and time.monotonic() >= deadline:
                    raise typer.Exit(Exit.UNFINISHED)
                time.sleep(every)
        if (code := stands(followed)) is not Exit.OK:
            raise typer.Exit(code)


def _tell(console: Console, changed: Row, output: str) -> None:
    if output == "json":
        typer.echo(json.dumps(asdict(changed)))
    else:
        console.print(shown(changed.line()), highlight=False)
