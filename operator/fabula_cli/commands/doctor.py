"""`fabula doctor`: what a cluster has of what runs need."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import typer
from rich.console import Console

from fabula_cli.access import Context, Kubeconfig, Namespace, Output, access
from fabula_cli.checks import State
from fabula_cli.diagnosis import judge
from fabula_cli.display import shown
from fabula_cli.exits import Exit, told
from fabula_cli.store import ArtifactRoot, artifact_root

COLOURS: dict[State, str] = {"OK": "green", "MISSING": "red", "DIFFERS": "red", "NOTE": "yellow"}


def doctor(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    root: ArtifactRoot = None,
    output: Output = "text",
) -> None:
    """Look at what runs need of a cluster: each line is OK, a NOTE, or MISSING with what to do. Exit 1 when something
    is missing. It changes nothing, but for a probe of the store, which it removes."""
    from fabula_cli.examination import examine

    with told():
        reach = access(kubeconfig, context, namespace)
        checks = judge(examine(reach, artifact_root(reach, root)), datetime.now(UTC))
        if output == "json":
            typer.echo(json.dumps([asdict(one) for one in checks], indent=2))
        console = Console(soft_wrap=True)
        for one in checks if output == "text" else ():
            line = shown(f"{one.state:8}", COLOURS[one.state]).append_text(shown(f"{one.about:18} {one.said}"))
            console.print(line, highlight=False)
        if any(one.state in ("MISSING", "DIFFERS") for one in checks):
            raise typer.Exit(Exit.BAD)
