"""The last words of a child's pods: results added up over shards, or why the child failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from fabula_api.outside import camel_reason, read_outside
from fabula_api.status import FailureDigest, Lineage
from fabula_api.worker import ExitCode, WorkerResult
from fabula_operator.plan.children import Child, Pod

_LAST = datetime.max.replace(tzinfo=UTC)


def result_of(pod: Pod) -> WorkerResult | None:
    """The pod's termination message; None when there is none or it is not a result."""
    if not pod.termination_message:
        return None
    try:
        result = WorkerResult.model_validate(read_outside(pod.termination_message))
    except ValueError:
        return None
    return result.model_copy(update={"metrics": _finite(result.metrics)})


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """Without those that are no number, which no status can hold."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


@dataclass(frozen=True, slots=True)
class Collected:
    """What the pods of a complete child said."""

    state: Literal["whole", "lost", "unreadable"]
    """`lost`: a pod of some shard is gone; `unreadable`: it is there but left no valid result."""
    result: WorkerResult | None = None
    shard: int | None = None


def collect(child: Child, pods: Sequence[Pod]) -> Collected:
    """One result for a complete child: counts added up; artifact, metrics and summary of the first shard."""
    ended: dict[int, Pod] = {pod.index: pod for pod in pods if pod.phase == "Succeeded"}
    found: list[WorkerResult] = []
    for shard in range(child.size):  # which is at most SHARDS
        if shard not in ended:
            return Collected("lost", shard=shard)
        result = result_of(ended[shard])
        if result is None:
            return Collected("unreadable", shard=shard)
        found.append(result)
    return Collected("whole", merged(found))


def merged(results: Sequence[WorkerResult]) -> WorkerResult:
    """Results of all shards as one."""
    counts = add_up(result.counts for result in results)
    lineage = [entry for result in results for entry in result.lineage]
    unique = {repr(sorted(entry.items())): entry for entry in lineage}
    return results[0].model_copy(
        update={"counts": counts, "reused": all(one.reused for one in results), "lineage": list(unique.values())}
    )


def add_up(counts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Sums by key."""
    total: dict[str, float] = {}
    for one in counts:
        for key, value in one.items():
            total[key] = total.get(key, 0) + value
    return total


def lineage_of(result: WorkerResult) -> list[Lineage]:
    """The inputs that a worker names; entries that are none are left out."""
    found = []
    for entry in result.lineage:
        try:
            found.append(Lineage.model_validate(entry))
        except ValidationError:
            continue
    return found


def first_failed(child: Child, pods: Sequence[Pod]) -> Pod | None:
    """The pod that failed first and for a reason of its own, of a shard that failed for good where that is known."""
    failed = [pod for pod in pods if pod.phase == "Failed"]
    final = [pod for pod in failed if pod.index in child.failed_indexes]
    own = [pod for pod in final or failed if pod.disrupted is None]
    # Of a group, the first to die took the others with it. Of a shard, the last try is what it failed of.
    ordered = sorted(own or failed, key=lambda pod: (pod.finished_at or _LAST, pod.index, pod.name))
    if not ordered:
        return None
    shard = ordered[0].index
    tries = [pod for pod in ordered if pod.index == shard]
    return tries[-1] if child.failed_indexes else ordered[0]


def failure_of(child: Child, pods: Sequence[Pod]) -> FailureDigest:
    """Why a child failed, by its first failing pod's own account, else by what Kubernetes says of it."""
    pod = first_failed(child, pods)
    if pod is None:
        return FailureDigest(
            reason=camel_reason(child.reason or "ChildFailed"),
            message=f"{child.kind} {child.name} failed: {child.message or 'no pod is left that says why'}",
            stage=child.stage,
        )
    return pod_failure(pod, child.stage)


def pod_failure(pod: Pod, stage: str) -> FailureDigest:
    """Why one pod failed."""
    result = result_of(pod)
    if result is not None and result.failure is not None:
        said = result.failure
        return said.model_copy(
            update={
                "reason": camel_reason(said.reason),
                "stage": said.stage or stage,
                "shard": pod.index if said.shard is None else said.shard,
                "exit_code": pod.exit_code if said.exit_code is None else said.exit_code,
            }
        )
    if pod.disrupted:
        reason, message = camel_reason(pod.disrupted), f"pod {pod.name} was disrupted: {pod.disrupted}"
    elif pod.ended_reason == "OOMKilled":
        reason = "OOMKilled"
        message = f"pod {pod.name} used more memory than its limit and was killed; raise resources.limits.memory"
    elif pod.exit_code is not None:
        reason = _EXIT_REASONS.get(pod.exit_code, "Crashed")
        message = f"pod {pod.name} ended with exit code {pod.exit_code} and left no account; see its log"
        if pod.exit_code > 128:
            reason, message = "Killed", f"pod {pod.name} was killed by signal {pod.exit_code - 128}"
    else:
        reason = camel_reason(pod.ended_reason or "PodFailed")
        message = f"pod {pod.name} failed: {pod.ended_reason or 'Kubernetes names no reason'}"
    return FailureDigest(reason=reason, message=message, stage=stage, shard=pod.index, exit_code=pod.exit_code)


_EXIT_REASONS = {
    int(ExitCode.CONFIG): "ConfigInvalid",
    int(ExitCode.INPUT): "InputInvalid",
    int(ExitCode.CREDENTIALS): "CredentialsRefused",
    int(ExitCode.RETRY): "TryAgain",
}
