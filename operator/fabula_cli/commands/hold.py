"""`fabula suspend`, `resume` and `retry`: hold a run, let it go on, and start a failed one again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from fabula_api.dataset_build import DatasetBuildStatus
from fabula_cli.access import Access, Context, Kubeconfig, Names, Namespace, access
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.output import Output
from fabula_cli.runs import title
from fabula_operator.plan.seen.observed import Run


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes of a spec, one after the other, and what they do in words."""

    patches: tuple[dict[str, Any], ...]
    words: str


def again(run: Run) -> Edit:
    """What starts a run again. Raises CommandFailed for one that has nothing to try again.

    The operator begins a finished run anew, with fresh budgets, when its spec is edited. Suspended and resumed, it was
    edited and is as it was.
    """
    failed_items = any(stage.failed for stage in run.status.stages)
    if isinstance(run.status, DatasetBuildStatus) and run.status.finished_at is not None and failed_items:
        count = int(run.spec.get("retryFailed") or 0) + 1
        return Edit(({"retryFailed": count, "suspend": False},), f"tries its failed items again (retryFailed {count})")
    if run.status.state == "Failed":
        return Edit(({"suspend": True}, {"suspend": False}), "starts again, with fresh budgets")
    state = run.status.state or "Pending"
    raise CommandFailed(Exit.USAGE, f"{title(run)} is {state}; only what has failed can be tried again")


def held(run: Run, suspend: bool) -> Edit:
    """What suspends a run, or lets it go on."""
    if bool(run.spec.get("suspend")) is suspend:
        return Edit((), "is suspended already" if suspend else "is not suspended")
    if suspend and run.status.finished_at is not None and run.status.observed_generation == run.generation:
        raise CommandFailed(Exit.USAGE, f"{title(run)} has finished ({run.status.state}); there is nothing to suspend")
    return Edit(({"suspend": suspend},), "ends what is in hand and stops" if suspend else "goes on")


def _apply(reach: Access, edits: list[tuple[Run, Edit]], output: Output) -> None:
    done = []
    for run, edit in edits:
        for patch in edit.patches:
            reach.patch(run, patch)
        done.append({"run": title(run), "changed": bool(edit.patches), "said": edit.words})
        if output == "text":
            typer.echo(f"{title(run)} {edit.words}")
    if output == "json":
        typer.echo(json.dumps(done, indent=2))


def _command(what: Callable[[Run], Edit], about: str) -> Callable[..., None]:
    """A command that makes an edit of each of the runs that are named."""

    def command(
        names: Names,
        kubeconfig: Kubeconfig = None,
        context: Context = None,
        namespace: Namespace = None,
        output: Output = "text",
    ) -> None:
        with told():
            reach = access(kubeconfig, context, namespace)
            _apply(reach, [(run, what(run)) for run in reach.runs(names)], output)

    command.__doc__ = about
    return command


suspend = _command(lambda run: held(run, True), "Stop the pods of runs and keep what is finished.")
resume = _command(lambda run: held(run, False), "Let suspended runs go on from where they stopped.")
retry = _command(
    again, "Start failed runs again; of a finished DatasetBuild, try the items again that failed for good."
)
