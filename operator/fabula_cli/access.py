"""The cluster that a command is about, and the runs in it: options, connection, reading and naming of runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.types import PatchType

from fabula_api.base import GROUP
from fabula_api.crd import PLURALS, SHORT_NAMES
from fabula_api.recipes import Kind
from fabula_cli.cluster import MANAGER
from fabula_cli.exits import CommandFailed, Exit
from fabula_cli.home import Home, default_home
from fabula_cli.kubectl import kubectl_path
from fabula_cli.runs import RESOURCES
from fabula_operator.plan.seen.observed import Run

Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Default: $KUBECONFIG, else ~/.kube/config, else the laptop's cluster."),
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig. Default: its current one.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Default: the context's.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Runs of all namespaces.")]
Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="For people, or for programs.")]


def _completed(incomplete: str) -> list[str]:
    """Runs of the current namespace that a shell may offer; none where no cluster answers."""
    try:
        runs = access(None, None, None).runs()
    except Exception:
        return []
    found = [f"{SHORT_NAMES[run.identity.kind]}/{run.identity.name}" for run in runs]
    return [name for name in found if name.startswith(incomplete)]


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
        found: list[tuple[str, Run]] = []
        for kind, resource in RESOURCES.items():
            if kind not in kinds:
                continue
            for item in self.client.list(resource, namespace="*" if self.everywhere else self.namespace):
                obj: dict[str, Any] = {**item.to_dict(), "kind": kind}  # type: ignore[no-untyped-call]
                found.append((str(obj["metadata"].get("creationTimestamp") or ""), Run.from_object(obj)))
        runs = [run for _, run in sorted(found, key=lambda one: (one[0], one[1].identity.namespace))]
        if not wanted:
            return runs
        chosen = [run for run in runs if any(fits(run, kind, name) for kind, name in wanted)]
        for asked in names:
            if not any(fits(run, *named(asked)) for run in chosen):
                raise CommandFailed(Exit.ABSENT, f"there is no run {asked} in namespace {self.namespace}")
        return chosen

    def run(self, name: str) -> Run:
        """The one run of that name. Raises CommandFailed where there is none, or several."""
        found = self.runs([name])
        if len(found) > 1:
            several = ", ".join(title(run) for run in found)
            raise CommandFailed(Exit.USAGE, f"{name} names several runs: {several}; say which, as KIND/NAME")
        return found[0]

    def patch(self, run: Run, spec: dict[str, Any]) -> None:
        """Change fields of a run's spec, and nothing else."""
        who = run.identity
        self.client.patch(
            RESOURCES[who.kind], who.name, {"spec": spec}, namespace=who.namespace, patch_type=PatchType.MERGE
        )


def named(text: str) -> tuple[Kind | None, str]:
    """(kind, name) of `ftr/stories`, `finetuneruns/stories`, `FineTuneRun/stories`; the kind is None for `stories`."""
    word, slash, name = text.rpartition("/")
    if not slash:
        return None, name
    for kind in RESOURCES:
        if word.lower().removesuffix(f".{GROUP}") in (kind.lower(), PLURALS[kind], SHORT_NAMES[kind]):
            return kind, name
    known = ", ".join(f"{kind} ({SHORT_NAMES[kind]})" for kind in RESOURCES)
    raise CommandFailed(Exit.USAGE, f"{word} is no kind of Fabula's; the kinds are {known}")


def fits(run: Run, kind: Kind | None, name: str) -> bool:
    """Whether a run has that name, and that kind where one is asked for."""
    return run.identity.name == name and kind in (None, run.identity.kind)


def title(run: Run) -> str:
    """`FineTuneRun/stories`."""
    return f"{run.identity.kind}/{run.identity.name}"


def access(kubeconfig: Path | None, context: str | None, namespace: str | None, everywhere: bool = False) -> Access:
    """Connect. Raises ConfigError where there is no cluster to connect to."""
    config = read_config(kubeconfig).get(context)
    if config is None:
        raise ConfigError(f"the kubeconfig has no context {context or '(no current one)'}")
    client = Client(config=config, namespace=namespace, field_manager=MANAGER)
    return Access(client, client.namespace, everywhere)


def read_config(kubeconfig: Path | None) -> KubeConfig:
    """The kubeconfig that is meant: the option's, `$KUBECONFIG` (several files are merged, as kubectl does), the one in
    the home folder, the laptop cluster's. Raises ConfigError."""
    if kubeconfig is not None:
        return KubeConfig.from_file(kubeconfig)
    files = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if len(files) > 1:
        view = [kubectl_path(), "config", "view", "--flatten", "--raw", "-o", "json"]
        return KubeConfig.from_dict(json.loads(subprocess.run(view, check=True, capture_output=True).stdout))
    if files:
        return KubeConfig.from_file(files[0])
    own = Home(default_home()).kubeconfig
    if not _DEFAULT.expanduser().exists() and own.exists():
        return KubeConfig.from_file(own)
    return KubeConfig.from_env()
