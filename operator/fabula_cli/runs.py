"""Runs in words: a plain line for what a run is doing, why it is not at its end, and a table for how an evaluation
ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fabula_api.base import GROUP, VERSION
from fabula_api.eval_run import EvalRunStatus
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.status import Condition, FailureDigest, RunStatus
from fabula_cli.cluster import connect
from fabula_kube.blocking import Client
from fabula_kube.errors import ApiError
from fabula_kube.resource import Resource
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.seen.observed import Run
from fabula_operator.render.launch import RunIdentity

RESOURCES = {kind: Resource(GROUP, VERSION, kind, definition.plural) for kind, definition in API_KINDS.items()}


def title(run: Run) -> str:
    """`FineTuneRun/stories`."""
    return f"{run.identity.kind}/{run.identity.name}"


def state(run: Run) -> str:
    """Its state; `Pending` where nobody has looked at it yet."""
    return run.status.state or "Pending"


def condition(status: RunStatus, type_: str) -> Condition | None:
    """The condition of that type."""
    return next((listed for listed in status.conditions if listed.type == type_), None)


def stalled(run: Run) -> bool:
    """Whether it waits for what somebody has to mend."""
    held = condition(run.status, "Stalled")
    return held is not None and held.status == "True"


def finished(run: Run) -> bool:
    """Whether it has finished with the spec that it has now: an edited one begins anew."""
    return run.status.finished_at is not None and _looked_at(run)


def hopeless(run: Run) -> bool:
    """Whether it has failed, or waits for what somebody has to mend: time alone will not end it."""
    return _looked_at(run) and (run.status.state == "Failed" or stalled(run))


def _looked_at(run: Run) -> bool:
    return (run.status.observed_generation or 0) >= run.generation


def artifact_uri(run: Run) -> str | None:
    """Folder of what the run made."""
    artifact = KINDS[run.identity.kind].artifact(run.status)
    return artifact.uri if artifact is not None else None


def figure(run: Run) -> str:
    """Loss or score so far; empty where there is none."""
    return KINDS[run.identity.kind].figure(run.status) or ""


def standing(run: Run) -> str:
    """Why it is not at its end, in a line."""
    telling = condition(run.status, "Stalled" if stalled(run) else "Running")
    words = (telling.message if telling else "") or run.status.reason or "the operator has not looked at it yet"
    return f"{title(run)} is {state(run)}: {words}"


def line(run: Run, everywhere: bool = False) -> str:
    """State, progress, loss or score, and time left: what changed since the last look shows here. With its namespace,
    where runs are of everywhere."""
    status, progress = run.status, run.status.progress
    summary = progress.summary if progress else None
    name = f"{run.identity.kind}/{run.identity.namespace}/{run.identity.name}" if everywhere else title(run)
    if status.state == "Succeeded":
        doing = artifact_uri(run)
    elif status.state == "Failed":
        doing = status.reason
    else:
        doing = summary or status.reason
    left = f"{progress.eta} left" if progress and progress.eta and status.finished_at is None else ""
    return "  ".join(cell for cell in (name, state(run), doing, figure(run), left) if cell)


def failure(run: Run) -> list[str]:
    """Why it failed, with the last lines of the log; or what keeps it from going on."""
    if run.status.state != "Failed":
        return [standing(run)]
    digest, failed = run.status.failure, condition(run.status, "Failed")
    reason = digest.reason if digest else run.status.reason
    where = ", ".join(_place(digest)) if digest else ""
    message = (digest.message if digest else "") or (failed.message if failed else "")
    return [
        f"{title(run)} failed: {reason}{f' ({where})' if where else ''}",
        *([f"  {message}"] if message else []),
        *(f"  | {logged}" for logged in (digest.log_tail if digest else ())),
    ]


def _place(digest: FailureDigest) -> Iterator[str]:
    places = {
        "stage": digest.stage, "shard": digest.shard, "rank": digest.rank, "exitCode": digest.exit_code,
        "exception": digest.exception,
    }  # fmt: skip
    return (f"{name} {value}" for name, value in places.items() if value is not None)


def read(client: Client, kind: Kind, name: str, namespace: str) -> Run:
    """The run; one that says so, where there is no such object."""
    try:
        return Run.from_object(client.get(RESOURCES[kind], namespace, name))
    except ApiError as error:
        if error.not_found:
            return absent(kind, name, namespace)
        raise


def absent(kind: Kind, name: str, namespace: str) -> Run:
    """A run that is named and is not there."""
    status = API_KINDS[kind].status(state="Pending", reason="NotFound")
    return Run(RunIdentity(kind, namespace, name, uid=""), generation=0, spec={}, status=status)


def read_all(kubeconfig: Path) -> list[Run]:
    """Every run of every kind in all namespaces."""
    client = connect(kubeconfig)
    return [Run.from_object(obj) for resource in RESOURCES.values() for obj in client.list(resource, None)]


def score_table(run: Run) -> list[list[str]]:
    """Rows of an evaluation's arms: a header, then one row for each metric, `-` where there is no figure."""
    arms = run.status.arms if isinstance(run.status, EvalRunStatus) else []
    rows = [["metric", *(arm.name for arm in arms)], ["answers", *(str(arm.done) for arm in arms)]]
    rows.append(["unparseable", *(str(arm.unparseable) for arm in arms)])
    labels = {metric.name: metric.label for arm in arms for metric in arm.metrics if metric.label}
    for name in dict.fromkeys(metric.name for arm in arms for metric in arm.metrics):
        row = [f"{name} ({labels[name]})" if name in labels else name]
        for arm in arms:
            metric = next((metric for metric in arm.metrics if metric.name == name), None)
            if metric is None or metric.mean is None:
                row.append("-")
                continue
            known = metric.low is not None and metric.high is not None
            row.append(f"{metric.mean:.4g}{f' [{metric.low:.4g}, {metric.high:.4g}]' if known else ''}")
        rows.append(row)
    return rows
