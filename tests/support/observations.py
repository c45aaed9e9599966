"""Observations for plan tests, built as a person would tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.in_blocks import changed
from tests.support.operator_driver import DATASET_SPEC, EVAL_SPEC, FINE_TUNE_SPEC

from fabula_api.recipes import Kind
from fabula_api.status import RunStatus
from fabula_api.worker import StageReport, WorkerResult
from fabula_operator.plan.actions import EnsureChild, Plan
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Child, Pod
from fabula_operator.plan.seen.observed import Environment, Observed, Reference, Report, Run, read_status
from fabula_operator.render.launch import Launch, RunIdentity

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES: dict[Kind, str] = {"DatasetBuild": "data", "FineTuneRun": "tune", "EvalRun": "eval"}
SPECS: dict[Kind, dict[str, Any]] = {
    "DatasetBuild": DATASET_SPEC, "FineTuneRun": FINE_TUNE_SPEC, "EvalRun": EVAL_SPEC,
}  # fmt: skip
DIGEST = "sha256:" + "a" * 64
SHARDED = ("extract", "illustrate", "infer")


def reference(kind: Kind, state: str | None = "Succeeded", **changes: Any) -> Reference:
    """A run that another one names."""
    made = Reference(kind, NAMES[kind], state, uri=f"file:///artifacts/{kind}", digest=DIGEST)
    return replace(made, **changes)


def observed(kind: Kind, spec: Mapping[str, Any] | None = None, **changes: Any) -> Observed:
    """A run as first seen, with what it names finished."""
    identity = RunIdentity(kind, "team", NAMES[kind], f"uid-{kind.lower()}")
    run = Run(identity, 1, changed(kind, SPECS[kind], spec or {}), read_status(kind, None))
    references = {
        ("DatasetBuild", "data"): reference("DatasetBuild"),
        ("FineTuneRun", "tune"): reference("FineTuneRun"),
    }
    seen = Observed(run, Environment("file:///artifacts", True, 10.0), references=references)  # type: ignore[arg-type]
    return replace(seen, **changes)


def written(seen: Observed, made: Plan) -> Observed:
    """The observation after the plan's status was written."""
    if made.status is None:
        return seen
    status = read_status(seen.run.identity.kind, made.status.to_wire())
    return replace(seen, run=replace(seen.run, status=status))


def child_of(launch: Launch, **changes: Any) -> Child:
    """The child that a launch creates."""
    made = Child(
        kind=launch.backend,
        name=launch.child,
        uid=f"uid-{launch.child}",
        stage=launch.stage,
        arm=launch.arm,
        attempt=launch.attempt,
        key=launch.key,
        generation=launch.generation,
        size=launch.shards,
        queue=launch.queue,
        suspended=launch.queue is not None,
        created_at=NOW,
    )
    return replace(made, **changes)


def pod_of(child: Child, index: int = 0, **changes: Any) -> Pod:
    """A running pod of a child."""
    return replace(Pod(f"{child.name}-{index}-abcde", f"{child.uid}-{index}", child.uid, "Running", index), **changes)


def said(**fields: Any) -> str:
    """A termination message."""
    return WorkerResult.model_validate({"outcome": "Succeeded", **fields}).encode().decode()


def failed_saying(reason: str, message: str = "it broke", **fields: Any) -> str:
    """A termination message of a failed worker."""
    failure = {"reason": reason, "message": message, **fields}
    return WorkerResult.model_validate({"outcome": "Failed", "failure": failure}).encode().decode()


def launches(made: Plan) -> list[Launch]:
    """The children a plan creates."""
    return [action.launch for action in made.actions if isinstance(action, EnsureChild)]


def step(seen: Observed, now: datetime = NOW) -> tuple[Observed, Plan]:
    """Plan, write the status, create the children with a running pod for each shard."""
    made = plan(seen, now)
    seen = written(seen, made)
    new = [child_of(launch) for launch in launches(made)]
    pods = [pod_of(child, index) for child in new if not child.suspended for index in range(child.size)]
    return replace(seen, children=(*seen.children, *new), pods=(*seen.pods, *pods)), made


def complete(seen: Observed, **result: Any) -> Observed:
    """Let every child that runs end well."""
    children, pods = [], list(seen.pods)
    for child in seen.children:
        if not child.terminal:
            uri = f"file:///artifacts/{child.name}"
            fields = {"artifact": {"uri": uri, "digest": DIGEST}, **result}
            if child.stage not in SHARDED:  # only these end without an artifact
                fields["artifact"] = fields["artifact"] or {"uri": uri, "digest": DIGEST}
            if child.stage == "estimate":
                fields.setdefault("summary", {"estimate": {}})
            message = said(**fields)
            pods = [
                replace(pod, phase="Succeeded", exit_code=0, termination_message=message, finished_at=NOW)
                if pod.owner_uid == child.uid
                else pod
                for pod in pods
            ]
            child = replace(child, complete=True, finished_at=NOW)
        children.append(child)
    return replace(seen, children=tuple(children), pods=tuple(pods))


def finished(seen: Observed, rounds: int = 12, **result: Any) -> Observed:
    """Let the run live its whole life undisturbed."""
    for _ in range(rounds):
        seen, _made = step(complete(seen, **result))
    return seen


def edited(seen: Observed, **changes: Any) -> Observed:
    """The run after an edit of its spec."""
    run = seen.run
    return replace(
        seen, run=replace(run, spec=changed(run.identity.kind, run.spec, changes), generation=run.generation + 1)
    )


def with_pod(seen: Observed, **changes: Any) -> Observed:
    """The observation with its last pod changed."""
    return replace(seen, pods=(*seen.pods[:-1], replace(seen.pods[-1], **changes)))


def with_child(seen: Observed, **changes: Any) -> Observed:
    """The observation with its last child changed."""
    return replace(seen, children=(*seen.children[:-1], replace(seen.children[-1], **changes)))


def reported(seen: Observed, seconds: float, done: int, first: int = 0, **body: Any) -> Observed:
    """The observation with a report of the last pod, `seconds` after its first one."""
    child, pod = seen.children[-1], seen.pods[-1]
    report = StageReport(stage=child.stage, arm=child.arm, shard=pod.index, attempt=child.attempt, done=done, **body)
    told = Report(report, NOW + timedelta(seconds=seconds), first, NOW, pod.name)
    return replace(seen, reports=(*seen.reports, told))


def condition(status: RunStatus | None, type_: str) -> tuple[str, str]:
    """(status, reason) of a condition."""
    assert status is not None
    condition = next(entry for entry in status.conditions if entry.type == type_)
    return condition.status, condition.reason
