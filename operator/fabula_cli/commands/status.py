"""`fabula status`: what waits for what, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from fabula_api.recipes import Kind
from fabula_cli.access import Access, Context, Everywhere, Kubeconfig, Namespace, Runs, access
from fabula_cli.display import COLOURS, shown
from fabula_cli.exits import Exit, told
from fabula_cli.output import Output
from fabula_cli.runs import artifact_uri, condition, stalled, state, title
from fabula_operator.plan.seen.observed import Run
from fabula_operator.plan.stages.references import named_runs

Key = tuple[str, Kind, str]


@dataclass(frozen=True, slots=True)
class Node:
    """One run in the tree, with the runs that it needs below it."""

    name: str
    state: str
    cells: tuple[str, ...] = ()
    """Progress, time left, what was made."""
    why: str | None = None
    """What it waits for, or why it failed, in a sentence."""
    needs: tuple[Node, ...] = ()
    reason: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """For `--output json`."""
        below = [need.to_wire() for need in self.needs]
        return {"run": self.name, "state": self.state, "reason": self.reason, "why": self.why, "needs": below}


def tree(runs: Iterable[Run], chosen: Iterable[Run] | None = None) -> list[Node]:
    """The runs that nobody else names (or the chosen ones), each with what it needs below it."""
    known = {_key(run): run for run in runs}
    if chosen is not None:
        return [_node(run, known) for run in chosen]
    needed = {key for run in known.values() for key in _needs(run)}
    return [_node(run, known) for key, run in known.items() if key not in needed]


def _key(run: Run) -> Key:
    return run.identity.namespace, run.identity.kind, run.identity.name


def _needs(run: Run) -> list[Key]:
    needed = named_runs(run.identity.kind, dict(run.spec))
    return sorted((run.identity.namespace, kind, name) for kind, name in needed)


def _node(run: Run, known: Mapping[Key, Run]) -> Node:
    below = []
    for key in _needs(run):
        needed = known.get(key)
        if needed is None:
            below.append(Node(f"{key[1]}/{key[2]}", "Missing", why="there is no such run in this namespace"))
        else:
            below.append(_node(needed, known))
    status = run.status
    return Node(title(run), state(run), cells(run), why(run), tuple(below), status.reason)


def cells(run: Run) -> tuple[str, ...]:
    """Progress and time left of a run at work; where its artifact is, of one that has succeeded."""
    status = run.status
    if status.state == "Succeeded":
        return tuple(uri for uri in (artifact_uri(run),) if uri)
    progress = status.progress
    if progress is None or status.finished_at is not None:
        return ()
    told_twice = progress.summary == status.reason
    parts = (None if told_twice else progress.summary, f"{progress.eta} left" if progress.eta else None)
    return tuple(part for part in parts if part)


def why(run: Run) -> str | None:
    """Why a run is not simply at work: a sentence, or None where there is nothing to say."""
    status = run.status
    if status.state is None:
        return "the operator has not looked at it yet; `fabula doctor` says whether one is at work"
    if status.observed_generation is not None and status.observed_generation < run.generation:
        return "its spec was edited, and the operator has not looked at it since"
    if status.state == "Failed":
        digest = status.failure
        failed = condition(status, "Failed")
        return digest.message if digest else (failed.message if failed else status.reason)
    held = condition(status, "Stalled")
    if stalled(run) and held is not None and held.message:
        return f"stands still: {held.message}"
    working = condition(status, "Suspended" if status.state == "Suspended" else "Running")
    if status.state in ("Pending", "Suspended") or status.reason:
        return (working.message if working and working.message else status.reason) or None
    return None


def stands(runs: Iterable[Run]) -> Exit:
    """How the runs are, as an exit code: failed or standing still, still at work, or all succeeded."""
    code = Exit.OK
    for run in runs:
        if run.status.state == "Failed" or stalled(run):
            return Exit.BAD
        if run.status.state != "Succeeded":
            code = Exit.UNFINISHED
    return code


def stages(run: Run) -> list[str]:
    """One line for each stage of a run: `extract  Running  4/12, 1 failed`."""
    lines = []
    for stage in run.status.stages:
        of = f"/{stage.total}" if stage.total is not None else ""
        count = f"{stage.done}{of}" if stage.done is not None else ""
        count += f", {stage.failed} failed" if stage.failed else ""
        again = "reused" if stage.reused else ""
        left = f"{stage.eta} left" if stage.eta and stage.state == "Running" else ""
        lines.append("  ".join(part for part in (f"{stage.name:12}", stage.state, count, again, left) if part))
    return lines


def drawn(node: Node, into: Tree | None = None) -> Tree:
    """The node as a tree for the terminal; nothing that the cluster says is taken for markup."""
    head = Text.assemble(shown(node.name), "  ", shown(node.state, COLOURS.get(node.state, "")))
    for cell in node.cells:
        head.append("  ").append_text(shown(cell))
    if node.why:
        head.append("\n").append_text(shown(node.why, "dim"))
    branch = Tree(head, highlight=False) if into is None else into.add(head)
    for need in node.needs:
        drawn(need, branch)
    return branch


def status(
    runs: Runs = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    everywhere: Everywhere = False,
    output: Output = "text",
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 1 when a run failed or stands still, 6 when one is at work."),
    ] = False,
) -> None:
    """Show runs as a tree of what waits for what, and why."""
    with told():
        reach = access(kubeconfig, context, namespace, everywhere)
        everything = reach.runs()
        chosen = reach.runs(runs) if runs else None
        _print(reach, everything, chosen, output)
        if exit_code and (code := stands(chosen if chosen is not None else everything)) is not Exit.OK:
            raise typer.Exit(code)


def _print(reach: Access, everything: list[Run], chosen: list[Run] | None, output: str) -> None:
    console = Console(soft_wrap=True)
    spaces = sorted({run.identity.namespace for run in everything}) if reach.everywhere else [reach.namespace]
    told_of: dict[str, list[Node]] = {}
    for space in spaces:
        here = [run for run in everything if run.identity.namespace == space]
        few = None if chosen is None else [run for run in chosen if run.identity.namespace == space]
        told_of[space] = tree(here, few)
    if output == "json":
        typer.echo(
            json.dumps({space: [node.to_wire() for node in nodes] for space, nodes in told_of.items()}, indent=2)
        )
        return
    for space, nodes in told_of.items():
        if reach.everywhere and nodes:
            console.print(shown(f"namespace {space}", "bold"), highlight=False)
        for node in nodes:
            console.print(drawn(node), highlight=False)
    if not everything:
        console.print(shown(f"no runs in namespace {reach.namespace}; `fabula init` writes one"), highlight=False)
    for run in chosen or ():
        console.print(shown(f"stages of {title(run)}", "bold"), highlight=False)
        for line in stages(run):
            console.print(shown(f"  {line}"), highlight=False)
