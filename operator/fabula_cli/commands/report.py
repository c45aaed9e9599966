"""`fabula report`: the page of an evaluation, opened in a browser or named."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from fabula_api.eval_run import EvalRunStatus
from fabula_api.outside import plain
from fabula_api.uri import FILE, path_problem
from fabula_cli.access import Context, Kubeconfig, Name, Namespace, access
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.output import Output
from fabula_cli.runs import title
from fabula_cli.store import opened
from fabula_operator.plan.seen.observed import Run

PAGE = "report.html"


def folder(run: Run) -> str:
    """Folder of an evaluation's report. Raises CommandFailed where there is none, with why."""
    status = run.status
    if not isinstance(status, EvalRunStatus):
        raise CommandFailed(Exit.USAGE, f"{title(run)} makes no report; an EvalRun does")
    if status.report is None:
        state = status.state or "Pending"
        raise CommandFailed(Exit.ABSENT, f"{title(run)} is {state} and has no report yet; see `fabula status`")
    return status.report.uri


def fetch(uri: str, to: Path) -> Path:
    """The page on this machine: where it lies, or with all that it shows copied below `to`."""
    with opened(uri) as store:
        if not uri.startswith(FILE):
            for entry in store.list():
                if problem := path_problem(entry.path):
                    raise CommandFailed(Exit.STORE, f"{entry.path!r} in {uri} is not copied: {problem}")
                target = to / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                store.download(entry.path, target)
            return to / PAGE
        if not store.exists(PAGE):
            words = (
                f"{uri}/{PAGE} is not on this machine; it may lie on a volume of the cluster: run this where that is"
            )
            raise CommandFailed(Exit.STORE, words)
        from fabula_workloads.runtime.store import local_path

        return local_path(uri) / PAGE


def report(
    run: Name,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = "text",
    to: Annotated[
        Path | None, typer.Option(help="Folder for a report from a bucket. Default: fabula-report-NAME, here.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it, or only say where it is.")] = True,
) -> None:
    """Open an evaluation's report, copied from its bucket where it lies in one, and print its path."""
    with told():
        evaluation = access(kubeconfig, context, namespace).run(run)
        uri = folder(evaluation)
        # A run's name may have 253 characters, and a folder's 255 with what stands before it.
        page = fetch(uri, to or Path(f"fabula-report-{evaluation.identity.name[:200]}"))
        typer.echo(json.dumps({"uri": uri, "page": str(page)}) if output == "json" else plain(str(page)))
        if browser and output == "text" and not webbrowser.open(page.resolve().as_uri()):
            typer.echo("fabula: no browser was found here; open the file yourself", err=True)
