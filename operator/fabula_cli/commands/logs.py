"""`fabula logs`: every shard and rank of a run, from its pods while there are any, from the store afterwards."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.outside import plain
from fabula_api.specs import DEFAULT, parse_spec
from fabula_cli.access import Access, Context, Kubeconfig, Name, Namespace, access
from fabula_cli.exits import CommandFailed, Exit, told
from fabula_cli.runs import title
from fabula_cli.store import ArtifactRoot, artifact_root, opened
from fabula_kube.connection import NoAnswer
from fabula_kube.errors import ApiError
from fabula_kube.kinds import POD
from fabula_operator.plan.groups.group import group_name
from fabula_operator.plan.seen.observed import Run
from fabula_operator.plan.stages.key import stage_folder
from fabula_operator.render.names import ARM, PYTORCH_CONTAINER, RUN_UID, STAGE, WORKER_CONTAINER

_INDEX = ("batch.kubernetes.io/job-completion-index", "training.kubeflow.org/replica-index")
_STORED = re.compile(r"attempt-(\d+)/rank-(\d+)\.log")


@dataclass(frozen=True, slots=True)
class Source:
    """One pod of a run."""

    stage: str
    index: int | None
    """Shard, or node of a group."""
    pod: str
    container: str
    begun: bool
    """Whether its container has started, so that there is a log."""

    @property
    def label(self) -> str:
        """As its lines begin."""
        return self.stage if self.index is None else f"{self.stage} {self.index}"


def source(pod: Mapping[str, Any]) -> Source:
    """What to read of a pod, as it is on the wire."""
    labels = pod["metadata"].get("labels") or {}
    stage = labels.get(STAGE, "?") + (f"/{labels[ARM]}" if ARM in labels else "")
    number = next((labels[key] for key in _INDEX if labels.get(key, "").isdigit()), None)
    names = [container["name"] for container in pod["spec"]["containers"]]
    ours = next((name for name in (WORKER_CONTAINER, PYTORCH_CONTAINER) if name in names), names[0])
    begun = (pod.get("status") or {}).get("phase") not in (None, "Pending")
    return Source(stage, None if number is None else int(number), pod["metadata"]["name"], ours, begun)


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A rank's log in the store."""

    attempt: int
    rank: int
    path: str


def stored_logs(paths: Iterable[str], attempt: int | None = None) -> list[StoredLog]:
    """The ranks' logs of an attempt, the last one where none is named."""
    logs = [
        StoredLog(int(match[1]), int(match[2]), path)
        for path in paths
        if (match := _STORED.fullmatch(path)) is not None
    ]
    wanted = max((log.attempt for log in logs), default=0) if attempt is None else attempt
    return sorted((log for log in logs if log.attempt == wanted), key=lambda log: log.rank)


def folder(run: Run, root: str | None) -> str | None:
    """Where a training run keeps its logs: its artifact's folder, that of its checkpoints, or by its stage's key."""
    status = run.status
    if not isinstance(status, FineTuneRunStatus):
        return None
    group = group_name(run.identity.kind, str(run.spec.get("recipe", DEFAULT)))
    train = next((stage for stage in status.stages if stage.name == group), None)
    if train is not None and train.artifact is not None:
        return train.artifact.uri
    if status.checkpoint is not None:
        return status.checkpoint.uri.rpartition("/checkpoints/")[0] or None
    if train is None or train.key is None or root is None:
        return None
    spec = parse_spec("FineTuneRun", run.spec)
    return stage_folder(run.identity, spec, root, train.name, None, train.key)


def why_none(run: Run, root: str | None) -> str:
    """Why there is no log to be had, and what is."""
    if run.identity.kind != "FineTuneRun":
        kept = "logs of shards are not kept once their pods are gone; what each item came to is in the stage's ledger"
    elif root is None and folder(run, root) is None:
        kept = "its pods are gone, and where the store is was not found out: give --artifact-root"
    else:
        kept = "its pods are gone, and it left no log in the store"
    return f"{title(run)} has no pods: {kept}"


def logs(
    run: Name,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    root: ArtifactRoot = None,
    stage: Annotated[str | None, typer.Option(help="Of this stage only, such as `extract`.")] = None,
    index: Annotated[int | None, typer.Option(help="Of this shard or rank only.")] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Attempt in the store. Default: the last.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the pods have ended.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Only so many lines of each.")] = None,
    stored: Annotated[bool, typer.Option("--stored", help="From the store, even while there are pods.")] = False,
) -> None:
    """Print the log of every shard and rank. A FineTuneRun's outlive its pods: they lie beside its checkpoints."""
    with told():
        reach = access(kubeconfig, context, namespace)
        chosen_run = reach.run(run)
        pods = [] if stored or attempt is not None else _pods(reach, chosen_run)
        chosen = [pod for pod in pods if stage in (None, pod.stage.partition("/")[0]) and index in (None, pod.index)]
        if chosen:
            _from_pods(reach, chosen_run, chosen, follow, tail)
        elif pods:
            there = ", ".join(sorted({pod.label for pod in pods}))
            raise CommandFailed(Exit.ABSENT, f"{title(chosen_run)} has no such pod; there is {there}")
        else:
            _from_store(chosen_run, artifact_root(reach, root), index, attempt, tail)


def _pods(reach: Access, run: Run) -> list[Source]:
    listed = reach.client.list(POD, run.identity.namespace, f"{RUN_UID}={run.identity.uid}")
    sources = [source(pod) for pod in listed]
    return sorted(sources, key=lambda log: (log.stage, log.index or 0, log.pod))


def _from_pods(reach: Access, run: Run, pods: list[Source], follow: bool, tail: int | None) -> None:
    lock = threading.Lock()

    def read(pod: Source) -> None:
        place = run.identity.namespace
        try:
            asked = {"container": pod.container, "follow": str(follow).lower()}
            lines = reach.client.lines(
                POD.path(place, pod.pod, "log"), asked if tail is None else {**asked, "tailLines": str(tail)}
            )
            _print(lines, pod.label if len(pods) > 1 else "", lock)
        except (ApiError, NoAnswer) as error:
            with lock:
                typer.echo(f"fabula: the log of pod {pod.pod} was not read: {plain(str(error))}", err=True)

    begun = [pod for pod in pods if pod.begun]
    for pod in pods:
        if not pod.begun:
            typer.echo(f"fabula: pod {pod.pod} ({pod.label}) has not started", err=True)
    if not follow:
        for pod in begun:
            read(pod)
        return
    # Daemons, so that a key press ends the command whatever they wait for.
    threads = [threading.Thread(target=read, args=(pod,), daemon=True) for pod in begun]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _from_store(run: Run, root: str | None, index: int | None, attempt: int | None, tail: int | None) -> None:
    place = folder(run, root)
    stored: list[StoredLog] = []
    if place is not None:
        with opened(f"{place}/logs") as store:
            listed = stored_logs((entry.path for entry in store.list()), attempt)
            stored = [log for log in listed if index in (None, log.rank)]
            for log in stored:
                text = store.read(log.path).decode(errors="replace").splitlines()
                lines = text if tail is None else text[len(text) - min(tail, len(text)) :]
                _print(iter(lines), f"attempt {log.attempt} rank {log.rank}", threading.Lock())
    if stored:
        return
    digest = run.status.failure
    for line in digest.log_tail if digest else ():
        typer.echo(plain(line))
    raise CommandFailed(Exit.ABSENT, why_none(run, root))


def _print(lines: Iterator[str], label: str, lock: threading.Lock) -> None:
    """Whole lines, without what would command a terminal."""
    head = f"[{plain(label)}] " if label else ""
    for line in lines:
        with lock:
            sys.stdout.write(f"{head}{plain(line)}\n")
            sys.stdout.flush()
