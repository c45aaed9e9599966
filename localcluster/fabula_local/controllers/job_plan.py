"""What to do next for a Job: pods to make and to end, and its status. Pure: same Job, same pods, same plan."""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fabula_local import timestamps
from fabula_local.kinds import Obj, uid_of

from . import pods as podinfo
from .conditions import find_condition, with_condition
from .indexes import format_indexes
from .job_outcome import INTERIM, Outcome, deadline_left, decide_outcome, finished
from .job_pods import index_of, indexed, tracked
from .job_tally import Tally, replaces_only_failed, tally

LONGEST_BACKOFF_SECONDS = 600.0
PODS_PER_ROUND = 500
"""Pods made in one look, as in Kubernetes."""


@dataclass(frozen=True, slots=True)
class NewPod:
    """A pod to make."""

    index: int | None
    failures: int | None = None
    """Counted failures of the index before it; None without backoffLimitPerIndex."""
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """An event to write about the Job."""

    type: str
    reason: str
    message: str


@dataclass(slots=True)
class JobPlan:
    """Executed in this order: drop, delete, create, status, release, delete_job."""

    status: Obj
    drop: list[Obj] = field(default_factory=list)
    """Running pods that are no longer wanted; they are let go first and not counted as failed."""
    delete: list[Obj] = field(default_factory=list)
    """Running pods of a failed Job."""
    create: list[NewPod] = field(default_factory=list)
    release: list[Obj] = field(default_factory=list)
    """Ended pods that the written status accounts for: remove their finalizer."""
    notices: list[Notice] = field(default_factory=list)
    delete_job: bool = False
    again_seconds: float | None = None

    def look_again_in(self, seconds: float) -> None:
        """Look again at the earliest time that anything asked for."""
        self.again_seconds = seconds if self.again_seconds is None else min(self.again_seconds, seconds)


def plan_job(
    job: Obj, pods: Sequence[Obj], now: datetime, *, released: Collection[str] = (), backoff_seconds: float = 10.0
) -> JobPlan:
    """The next step of a Job, given the pods it controls.

    `released` are uids of pods whose finalizer was removed already, whatever a stale cache says; `backoff_seconds` is
    the pause after a first failure, doubled with each further one (Kubernetes: 10 s).
    """
    plan = JobPlan(status=copy.deepcopy(job.get("status") or {}))
    if "deletionTimestamp" in job["metadata"]:
        plan.release = [pod for pod in pods if tracked(pod)]
        return plan
    if finished(job):
        plan.release = [pod for pod in pods if tracked(pod)]
        _expire(plan, job, now)
        return plan
    seen = tally(job, pods, released)
    plan.release = seen.release
    outcome = decide_outcome(job, seen, now)
    suspended = bool(job["spec"].get("suspend")) and outcome is None
    _set_start(plan, suspended, now)
    if outcome is not None:
        (plan.delete if outcome.condition == "Failed" else plan.drop).extend(seen.active)
        if plan.delete or plan.drop:
            seen.terminating = [*seen.terminating, *seen.active]
        seen.active = []
    elif suspended:
        plan.drop.extend(seen.active)
        seen.terminating = [*seen.terminating, *seen.active]
        seen.active = []
    else:
        _manage_pods(plan, job, seen, now, backoff_seconds)
        left = deadline_left({**job, "status": plan.status}, now)
        if left is not None:
            plan.look_again_in(left)
    _write_counts(plan, job, seen)
    if outcome is not None:
        _announce(plan, seen, outcome, now)
    return plan


def _expire(plan: JobPlan, job: Obj, now: datetime) -> None:
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    ends = [entry for entry in plan.status["conditions"] if entry["type"] in INTERIM and entry["status"] == "True"]
    left = (timestamps.parse(ends[0]["lastTransitionTime"]) + timedelta(seconds=int(ttl)) - now).total_seconds()
    if left <= 0:
        plan.delete_job = True
    else:
        plan.look_again_in(left)


def _set_start(plan: JobPlan, suspended: bool, now: datetime) -> None:
    conditions = plan.status.get("conditions") or []
    before = find_condition(conditions, "Suspended")
    if suspended:
        plan.status.pop("startTime", None)
        if before is None or before["status"] != "True":
            plan.status["conditions"] = with_condition(
                conditions, "Suspended", "True", "JobSuspended", "Job suspended", now, **_probed(now)
            )
            plan.notices.append(Notice("Normal", "Suspended", "Job suspended"))
        return
    if before is not None and before["status"] == "True":
        plan.status["conditions"] = with_condition(
            conditions, "Suspended", "False", "JobResumed", "Job resumed", now, **_probed(now)
        )
        plan.status["startTime"] = timestamps.rfc3339(now)
        plan.notices.append(Notice("Normal", "Resumed", "Job resumed"))
    plan.status.setdefault("startTime", timestamps.rfc3339(now))


def _probed(now: datetime) -> dict[str, str]:
    return {"lastProbeTime": timestamps.rfc3339(now)}


def _manage_pods(plan: JobPlan, job: Obj, seen: Tally, now: datetime, backoff_seconds: float) -> None:
    keep, surplus = _choose(job, seen)
    plan.drop.extend(surplus)
    seen.terminating = [*seen.terminating, *surplus]
    seen.active = keep
    held = len(seen.terminating) if replaces_only_failed(job) else 0
    room = min(_wanted(job, seen) - len(keep) - held, PODS_PER_ROUND)
    if room <= 0:
        return
    per_index = job["spec"].get("backoffLimitPerIndex") is not None
    if not per_index:
        wait = _backoff_left(seen, now, backoff_seconds)
        if wait > 0:
            plan.look_again_in(wait)
            return
    if not indexed(job):
        plan.create = [NewPod(None)] * room
        return
    taken = {index_of(pod) for pod in keep} | seen.completed | seen.failed_indexes
    if replaces_only_failed(job):
        taken |= {index_of(pod) for pod in seen.terminating}
    for index in range(int(job["spec"]["completions"])):
        if len(plan.create) >= room:
            break
        if index in taken:
            continue
        past = seen.history.get(index)
        if past is not None and past.latest is not None:
            pause = _pause(past.counted + past.ignored, backoff_seconds)
            wait = (podinfo.finish_time(past.latest) + timedelta(seconds=pause) - now).total_seconds()
            if wait > 0:
                plan.look_again_in(wait)
                continue
        counted, ignored = (past.counted, past.ignored) if past else (0, 0)
        plan.create.append(NewPod(index, counted if per_index else None, ignored))


def _choose(job: Obj, seen: Tally) -> tuple[list[Obj], list[Obj]]:
    """Active pods to keep and to end: one an index, none for what is done, no more than parallelism."""

    def rank(pod: Obj) -> tuple[bool, bool, str, str]:
        created = pod["metadata"].get("creationTimestamp", "")
        return (not podinfo.ready(pod), podinfo.phase(pod) != "Running", created, pod["metadata"]["name"])

    keep: list[Obj] = []
    surplus: list[Obj] = []
    used: set[int] = set(seen.completed | seen.failed_indexes)
    for pod in sorted(seen.active, key=rank):
        index = index_of(pod)
        if indexed(job):
            if index in used or not 0 <= index < int(job["spec"]["completions"]):
                surplus.append(pod)
                continue
            used.add(index)
        keep.append(pod)
    limit = max(_wanted(job, seen, len(keep)), 0)
    return keep[:limit], surplus + keep[limit:]


def _wanted(job: Obj, seen: Tally, num_active: int | None = None) -> int:
    """How many pods should run."""
    parallelism = int(job["spec"].get("parallelism", 1))
    completions = job["spec"].get("completions")
    if indexed(job):
        return min(parallelism, int(completions or 0) - len(seen.completed | seen.failed_indexes))
    succeeded = seen.num_succeeded + len(seen.uncounted_succeeded)
    if completions is None:
        active = len(seen.active) if num_active is None else num_active
        return min(active, parallelism) if succeeded else parallelism
    return min(parallelism, int(completions) - succeeded)


def _pause(failures: int, base: float) -> float:
    return float(min(base * 2 ** min(failures - 1, 20), LONGEST_BACKOFF_SECONDS)) if failures > 0 else 0.0


def _backoff_left(seen: Tally, now: datetime, base: float) -> float:
    """Seconds to wait because of the failures since the last success."""
    last_success = max((podinfo.finish_time(pod) for pod in seen.succeeded), default=podinfo.EPOCH)
    failures = [end for pod, _ in seen.failed if (end := podinfo.finish_time(pod)) > last_success]
    if not failures:
        return 0.0
    return (max(failures) + timedelta(seconds=_pause(len(failures), base)) - now).total_seconds()


def _write_counts(plan: JobPlan, job: Obj, seen: Tally) -> None:
    status = plan.status
    status["active"] = len(seen.active) + len(plan.create)
    status["ready"] = sum(podinfo.ready(pod) for pod in seen.active)
    status["terminating"] = len(seen.terminating)
    status["failed"] = seen.num_failed
    status["succeeded"] = len(seen.completed) if indexed(job) else seen.num_succeeded
    if indexed(job):
        status["completedIndexes"] = format_indexes(seen.completed)
        if job["spec"].get("backoffLimitPerIndex") is not None:
            status["failedIndexes"] = format_indexes(seen.failed_indexes)
    status["uncountedTerminatedPods"] = {
        name: uids
        for name, uids in (("succeeded", seen.uncounted_succeeded), ("failed", seen.uncounted_failed))
        if uids
    }
    for name in ("active", "failed", "succeeded", "completedIndexes"):
        if not status.get(name):
            status.pop(name, None)


def _announce(plan: JobPlan, seen: Tally, outcome: Outcome, now: datetime) -> None:
    """Say how the Job ends; finally only when its pods have ended and are counted."""
    if not plan.delete and not plan.drop:
        # Nothing left to retry: pods whose finalizer was held back for a replacement are let go too.
        plan.release = seen.release + [
            past.latest
            for past in seen.history.values()
            if past.latest is not None and uid_of(past.latest) in seen.waiting and past.latest not in seen.release
        ]
    conditions = plan.status.get("conditions") or []
    interim = INTERIM[outcome.condition]
    if find_condition(conditions, interim) is None:
        conditions = with_condition(conditions, interim, "True", outcome.reason, outcome.message, now, **_probed(now))
    # A Job that has ended has let all its pods go.
    if not plan.release and not seen.terminating and not seen.uncounted_failed and not seen.uncounted_succeeded:
        conditions = with_condition(
            conditions, outcome.condition, "True", outcome.reason, outcome.message, now, **_probed(now)
        )
        if outcome.condition == "Complete":
            plan.status["completionTime"] = timestamps.rfc3339(now)
            plan.notices.append(Notice("Normal", "Completed", "Job completed"))
        else:
            plan.notices.append(Notice("Warning", outcome.reason, outcome.message))
    plan.status["conditions"] = conditions
