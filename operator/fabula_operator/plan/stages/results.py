"""The last words of a child's pods: results added up over shards, or what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import ValidationError

from fabula_api.outside import read_outside
from fabula_api.recipes import Stage
from fabula_api.status import FailureDigest
from fabula_api.summary import Summary
from fabula_api.worker import WorkerResult
from fabula_operator.plan.seen.api_objects import Child, Pod

S = TypeVar("S", bound=Summary)


def result_of(pod: Pod) -> WorkerResult | None:
    """The pod's termination message; None when there is none or it is not a result."""
    if not pod.termination_message:
        return None
    try:
        result = WorkerResult.model_validate(read_outside(pod.termination_message))
    except ValueError:
        return None
    return result.replace(metrics=_finite(result.metrics))


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """Without those that are no number, which no status can hold."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def summary_of(model: type[S], result: WorkerResult) -> S:
    """What the stage says beside its counts. Raises ValidationError where it is not what the stage has to say."""
    summary = result.summary
    return summary if isinstance(summary, model) else model.model_validate(summary.model_dump(by_alias=True))


def flaw(pod: Pod, stage: Stage, *, foreign: bool = False) -> str | None:
    """What is wrong with the last word of a pod that ended well; None where all of it can be read.

    `foreign` trainers need not leave any; what they leave as Fabula's result has to be one.
    """
    text = pod.termination_message
    if foreign and not _claims_to_be_a_result(text):
        return None
    if not text:
        return "it left no termination message"
    try:
        result = WorkerResult.model_validate(read_outside(text))
    except ValueError as error:
        return f"its termination message is no result: {_in_words(error)}"
    if result.outcome != "Succeeded":
        return "its termination message says that it failed"
    if result.artifact is None and stage.commits and stage.shape == "single":
        return "its result names no artifact"
    try:
        summary_of(stage.summary, result)
    except ValidationError as error:
        return f"the summary of its result does not parse: {_in_words(error)}"
    return None


def _claims_to_be_a_result(text: str | None) -> bool:
    try:
        said = read_outside(text or "")
    except ValueError:
        return False
    return isinstance(said, dict) and "outcome" in said


def _in_words(error: ValueError) -> str:
    """Which field, and why; never the value, which may be anything."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def unreadable(stage: str, pod: Pod, why: str) -> FailureDigest:
    """The failure of a worker that ended well without saying, in words of this version, what it made."""
    return FailureDigest(
        reason="ResultUnreadable",
        message=f"pod {pod.name} of stage {stage} succeeded, but {why}; check that the worker image belongs to this "
        "operator's version",
        stage=stage,
        shard=pod.index,
        exit_code=pod.exit_code,
    )


@dataclass(frozen=True, slots=True)
class Collected:
    """What the pods of a complete child said."""

    state: Literal["whole", "lost", "unreadable"]
    """`lost`: a pod of some shard is gone; `unreadable`: it is there but left no valid result."""
    result: WorkerResult | None = None
    shard: int | None = None
    failure: FailureDigest | None = None
    """What is wrong with the one that cannot be read."""


def collect(child: Child, stage: Stage, pods: Sequence[Pod]) -> Collected:
    """One result for a complete child: counts added up; artifact, metrics and summary of the first shard."""
    ended: dict[int, Pod] = {pod.index: pod for pod in pods if pod.phase == "Succeeded"}
    results: list[WorkerResult] = []
    for shard in range(child.size):  # which is at most SHARDS
        if shard not in ended:
            return Collected("lost", shard=shard)
        why, result = flaw(ended[shard], stage), result_of(ended[shard])
        if why is not None or result is None:
            return Collected("unreadable", shard=shard, failure=unreadable(stage.name, ended[shard], why or ""))
        results.append(result)
    return Collected("whole", merged(results))


def merged(results: Sequence[WorkerResult]) -> WorkerResult:
    """Results of all shards as one."""
    counts = add_up(result.counts for result in results)
    lineage = dict.fromkeys(entry for result in results for entry in result.lineage)
    return results[0].replace(counts=counts, reused=all(result.reused for result in results), lineage=list(lineage))


def add_up(counts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Sums by key."""
    total: dict[str, float] = {}
    for counted in counts:
        for key, value in counted.items():
            total[key] = total.get(key, 0) + value
    return total
