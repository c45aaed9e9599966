"""The cluster that a command is about, and the runs in it: options, connection, reading and naming of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fabula_api.base import GROUP
from fabula_api.recipes import API_KINDS, Kind
from fabula_cli.cluster import MANAGER
from fabula_cli.exits import CommandFailed, Exit
from fabula_cli.home import Home, default_home
from fabula_cli.runs import RESOURCES, title
from fabula_kube.blocking import Client
from fabula_kube.credentials import NoCredentials, from_kubeconfig
from fabula_kube.resource import Resource
from fabula_operator.plan.seen.observed import Run

Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Default: $KUBECONFIG, else ~/.kube/config, else the laptop's cluster."),
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig. Default: its current one.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Default: the context's.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Runs of all namespaces.")]


def _completed(ctx: typer.Context, incomplete: str) -> list[str]:
    """Runs that a shell may offer, of the cluster and namespace that the line names: `ftr/stories`, and `stories` once
    its first letter is there. None where no cluster answers."""
    given = ctx.params
    try:
        runs = access(given.get("kubeconfig"), given.get("context"), given.get("namespace")).runs()
    except Exception:
        return []
    offered = [f"{API_KINDS[run.identity.kind].short}/{run.identity.name}" for run in runs]
    if incomplete:
        offered += sorted({run.identity.name for run in runs})
    return [name for name in offered if name.startswith(incomplete)]


Runs = Annotated[list[str] | None, typer.Argument(help="KIND/NAME or NAME. Default: all.", autocompletion=_completed)]
Names = Annotated[list[str], typer.Argument(help="KIND/NAME or NAME.", autocompletion=_completed)]
Name = Annotated[str, typer.Argument(help="KIND/NAME or NAME.", autocompletion=_completed)]

_DEFAULT = Path("~/.kube/config")


@dataclass(frozen=True, slots=True)
class Access:
    """A connection, and the namespace that is meant."""

    client: Client
    namespace: str
    everywhere: bool = False

    def runs(self, names: Sequence[str] = ()) -> list[Run]:
        """The named runs, or all; oldest first. Raises CommandFailed for a name that no run has."""
        wanted = [named(name) for name in names]
        kinds = {kind for kind, _ in wanted if kind} if wanted and all(kind for kind, _ in wanted) else set(RESOURCES)
        dated: list[tuple[str, Run]] = []
        for kind, resource in RESOURCES.items():
            if kind not in kinds:
                continue
            for obj in self.client.list(resource, None if self.everywhere else self.namespace):
                dated.append((str(obj["metadata"].get("creationTimestamp") or ""), Run.from_object(obj)))
        runs = [run for _, run in sorted(dated, key=lambda dated_run: (dated_run[0], dated_run[1].identity.namespace))]
        if not wanted:
            return runs
        chosen = [run for run in runs if any(fits(run, kind, name) for kind, name in wanted)]
        for asked in names:
            if not any(fits(run, *named(asked)) for run in chosen):
                raise CommandFailed(Exit.ABSENT, f"there is no run {asked} in namespace {self.namespace}")
        return chosen

    def run(self, name: str) -> Run:
        """The one run of that name. Raises CommandFailed where there is none, or several."""
        runs = self.runs([name])
        if len(runs) > 1:
            several = ", ".join(title(run) for run in runs)
            raise CommandFailed(Exit.USAGE, f"{name} names several runs: {several}; say which, as KIND/NAME")
        return runs[0]

    def served(self, resource: Resource) -> Resource:
        """The resource in the version that this cluster prefers. Raises ApiError, 404 where it has no such group."""
        group = self.client.request("GET", f"/apis/{resource.group}")
        return replace(resource, version=str(group["preferredVersion"]["version"]))

    def patch(self, run: Run, spec: dict[str, Any]) -> None:
        """Change fields of a run's spec, and nothing else."""
        who = run.identity
        self.client.patch(RESOURCES[who.kind], who.namespace, who.name, {"spec": spec})


def named(text: str) -> tuple[Kind | None, str]:
    """(kind, name) of `ftr/stories`, `finetuneruns/stories`, `FineTuneRun/stories`; the kind is None for `stories`."""
    word, slash, name = text.rpartition("/")
    if not slash:
        return None, name
    for kind in RESOURCES:
        if word.lower().removesuffix(f".{GROUP}") in (kind.lower(), API_KINDS[kind].plural, API_KINDS[kind].short):
            return kind, name
    known = ", ".join(f"{kind} ({API_KINDS[kind].short})" for kind in RESOURCES)
    raise CommandFailed(Exit.USAGE, f"{word} is no kind of Fabula's; the kinds are {known}")


def fits(run: Run, kind: Kind | None, name: str) -> bool:
    """Whether a run has that name, and that kind where one is asked for."""
    return run.identity.name == name and kind in (None, run.identity.kind)


def access(kubeconfig: Path | None, context: str | None, namespace: str | None, everywhere: bool = False) -> Access:
    """Connect. Raises NoCredentials where there is no cluster to connect to."""
    credentials = from_kubeconfig(chosen_kubeconfig(kubeconfig), context)
    return Access(Client(credentials, MANAGER), namespace or credentials.namespace, everywhere)


def chosen_kubeconfig(kubeconfig: Path | None) -> Path | str:
    """The kubeconfig that is meant: the option's, `$KUBECONFIG` (several files are merged, as kubectl does), the one in
    the home folder, the laptop cluster's. Raises NoCredentials."""
    if kubeconfig is not None:
        return kubeconfig
    if files := os.environ.get("KUBECONFIG"):
        return files
    for path in (_DEFAULT.expanduser(), Home(default_home()).kubeconfig):
        if path.exists():
            return path
    raise NoCredentials("there is no kubeconfig")
