"""What the pods of a Job add up to: who runs, who ended how, which indexes are done. Pure.

Counting follows batch/v1: an ended pod keeps its tracking finalizer until the Job's status knows of it, so that no
crash between two writes counts a pod twice or not at all.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from fabula_local.kinds import Obj, uid_of

from . import pods as podinfo
from .indexes import parse_indexes
from .job_pods import ignored_failures, index_failures, index_of, indexed, tracked
from .job_policy import Verdict, judge


@dataclass(slots=True)
class IndexHistory:
    """Failures of one index so far, for backoffLimitPerIndex."""

    counted: int = 0
    ignored: int = 0
    latest: Obj | None = None
    """The failed pod that carries this count; kept until a replacement carries it on."""
    spent: bool = False
    """Whether the index has failed for good."""


@dataclass(slots=True)
class Tally:
    """The pods of a Job, sorted."""

    active: list[Obj] = field(default_factory=list)
    terminating: list[Obj] = field(default_factory=list)
    failed: list[tuple[Obj, Verdict]] = field(default_factory=list)
    succeeded: list[Obj] = field(default_factory=list)
    completed: set[int] = field(default_factory=set)
    """Indexes that succeeded, now or according to the status."""
    failed_indexes: set[int] = field(default_factory=set)
    history: dict[int, IndexHistory] = field(default_factory=dict)
    num_succeeded: int = 0
    """Pods counted by the status already, in NonIndexed mode."""
    num_failed: int = 0
    uncounted_succeeded: list[str] = field(default_factory=list)
    uncounted_failed: list[str] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    """Uids of the pods that still have their finalizer."""
    release: list[Obj] = field(default_factory=list)
    """Pods whose finalizer may go once the status is written."""

    @property
    def total_failed(self) -> int:
        """Failures that count towards backoffLimit."""
        return self.num_failed + len(self.uncounted_failed)


def replaces_only_failed(job: Obj) -> bool:
    """Whether a terminating pod still holds its place (podReplacementPolicy Failed)."""
    default = "Failed" if job["spec"].get("podFailurePolicy") else "TerminatingOrFailed"
    return bool(job["spec"].get("podReplacementPolicy", default) == "Failed")


def counts_as_failed(job: Obj, pod: Obj) -> bool:
    """Whether the Job takes the pod for a failed one."""
    phase = podinfo.phase(pod)
    if phase == "Failed":
        return True
    if not podinfo.deleting(pod) or phase == "Succeeded":
        return False
    # A pod that was deleted before it was given to a node has nobody left who would end it.
    return not replaces_only_failed(job) or not pod["spec"].get("nodeName")


def tally(job: Obj, pods: Sequence[Obj], released: Collection[str]) -> Tally:
    """Sort the Job's pods and count what ended. `released` are pods whose finalizer is known to be gone already."""
    status = job.get("status") or {}
    waiting = {uid_of(pod) for pod in pods if tracked(pod)} - set(released)
    result = Tally(
        completed=parse_indexes(status.get("completedIndexes", "")) if indexed(job) else set(),
        failed_indexes=parse_indexes(status.get("failedIndexes") or ""),
        num_succeeded=int(status.get("succeeded", 0)),
        num_failed=int(status.get("failed", 0)),
        waiting=waiting,
    )
    uncounted = status.get("uncountedTerminatedPods") or {}
    for uid in uncounted.get("succeeded") or ():
        if uid in waiting:
            result.uncounted_succeeded.append(uid)
        elif not indexed(job):
            result.num_succeeded += 1
    for uid in uncounted.get("failed") or ():
        if uid in waiting:
            result.uncounted_failed.append(uid)
        else:
            result.num_failed += 1
    for pod in pods:
        _add(result, job, pod, uid_of(pod) in waiting)
    if job["spec"].get("backoffLimitPerIndex") is not None:
        _judge_indexes(result, job)
    return result


def _add(result: Tally, job: Obj, pod: Obj, waiting: bool) -> None:
    in_range = not indexed(job) or 0 <= index_of(pod) < int(job["spec"].get("completions") or 0)
    uid = uid_of(pod)
    if podinfo.phase(pod) == "Succeeded":
        result.succeeded.append(pod)
        if waiting:
            result.release.append(pod)
            if indexed(job):
                if in_range:
                    result.completed.add(index_of(pod))
            elif uid not in result.uncounted_succeeded:
                result.uncounted_succeeded.append(uid)
    elif counts_as_failed(job, pod):
        verdict = judge(job["spec"].get("podFailurePolicy"), pod)
        result.failed.append((pod, verdict))
        if waiting:
            result.release.append(pod)
            if verdict.counts and in_range and uid not in result.uncounted_failed:
                result.uncounted_failed.append(uid)
        if podinfo.deleting(pod) and pod["spec"].get("nodeName") and not podinfo.finished(pod):
            result.terminating.append(pod)
    elif podinfo.deleting(pod):
        result.terminating.append(pod)
    else:
        result.active.append(pod)


def _judge_indexes(result: Tally, job: Obj) -> None:
    limit = int(job["spec"]["backoffLimitPerIndex"])
    for pod, verdict in result.failed:
        index = index_of(pod)
        counted = index_failures(pod) + (1 if verdict.counts else 0)
        ignored = ignored_failures(pod) + (0 if verdict.counts else 1)
        entry = result.history.setdefault(index, IndexHistory())
        if verdict.action == "FailIndex" or (verdict.counts and counted > limit):
            entry.spent = True
        if entry.latest is None or counted + ignored > entry.counted + entry.ignored:
            entry.counted, entry.ignored, entry.latest = counted, ignored, pod
    for index, entry in result.history.items():
        if entry.spent and index not in result.completed:
            result.failed_indexes.add(index)
    carried = {
        index_of(pod): index_failures(pod) + ignored_failures(pod) for pod in (*result.active, *result.succeeded)
    }
    for index, entry in result.history.items():
        done = index in result.completed or index in result.failed_indexes
        if not done and carried.get(index, -1) < entry.counted + entry.ignored:
            result.release = [pod for pod in result.release if pod is not entry.latest]
