"""Whether a Job has ended, and why. Pure; reasons and wording are those of batch/v1."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fabula_local import timestamps
from fabula_local.kinds import Obj

from . import pods as podinfo
from .conditions import find_condition
from .indexes import parse_indexes
from .job_pods import indexed
from .job_tally import Tally

INTERIM = {"Failed": "FailureTarget", "Complete": "SuccessCriteriaMet"}
"""The condition that announces each end while pods are still being ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decided end."""

    condition: str
    """Complete or Failed."""
    reason: str
    message: str


COMPLETIONS_REACHED = Outcome("Complete", "CompletionsReached", "Reached expected number of succeeded pods")


def finished(job: Obj) -> bool:
    """Whether the Job has condition Complete or Failed."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(entry["type"] in INTERIM and entry["status"] == "True" for entry in conditions)


def decide_outcome(job: Obj, seen: Tally, now: datetime) -> Outcome | None:
    """The end that the Job has reached, or None. An end once announced stays."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    for end, interim in INTERIM.items():
        announced = find_condition(conditions, interim)
        if announced and announced["status"] == "True":
            return Outcome(end, announced.get("reason", ""), announced.get("message", ""))
    for pod, verdict in seen.failed:
        if verdict.action == "FailJob" and pod in seen.release:
            return Outcome("Failed", "PodFailurePolicy", verdict.message)
    if _past_backoff_limit(job, seen):
        return Outcome("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = deadline_left(job, now)
    if left is not None and left <= 0:
        return Outcome("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    return _by_indexes(job, seen) if indexed(job) else _by_number(job, seen)


def deadline_left(job: Obj, now: datetime) -> float | None:
    """Seconds until activeDeadlineSeconds is over; None where there is no deadline or it does not run."""
    limit = job["spec"].get("activeDeadlineSeconds")
    start = (job.get("status") or {}).get("startTime")
    if limit is None or start is None or job["spec"].get("suspend"):
        return None
    return (timestamps.parse(start) + timedelta(seconds=int(limit)) - now).total_seconds()


def _past_backoff_limit(job: Obj, seen: Tally) -> bool:
    spec = job["spec"]
    if spec.get("backoffLimitPerIndex") is not None and spec.get("backoffLimit") is None:
        return False
    limit = int(spec.get("backoffLimit", 6))
    if seen.total_failed > limit:
        return True
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(podinfo.restarts(pod) for pod in seen.active)
    return restarts > 0 if limit == 0 else restarts >= limit


def _by_indexes(job: Obj, seen: Tally) -> Outcome | None:
    spec = job["spec"]
    for number, rule in enumerate((spec.get("successPolicy") or {}).get("rules") or ()):
        if _meets(rule, seen.completed):
            return Outcome("Complete", "SuccessPolicy", f"Matched rules at index {number}")
    completions = int(spec.get("completions") or 0)
    if seen.failed_indexes:
        limit = spec.get("maxFailedIndexes")
        if limit is not None and len(seen.failed_indexes) > int(limit):
            message = "Job has exceeded the specified maximal number of failed indexes"
            return Outcome("Failed", "MaxFailedIndexesExceeded", message)
        if len(seen.failed_indexes | seen.completed) >= completions:
            return Outcome("Failed", "FailedIndexes", "Job has failed indexes")
    return COMPLETIONS_REACHED if len(seen.completed) >= completions else None


def _meets(rule: Obj, completed: set[int]) -> bool:
    wanted = parse_indexes(rule["succeededIndexes"]) if rule.get("succeededIndexes") else None
    hits = completed if wanted is None else completed & wanted
    needed = rule.get("succeededCount")
    if needed is not None:
        return len(hits) >= int(needed)
    return wanted is not None and hits == wanted


def _by_number(job: Obj, seen: Tally) -> Outcome | None:
    succeeded = seen.num_succeeded + len(seen.uncounted_succeeded)
    completions = job["spec"].get("completions")
    if completions is None:
        # A work queue: the first success says that the work is done; the others finish what they hold.
        return COMPLETIONS_REACHED if succeeded > 0 and not seen.active and not seen.terminating else None
    return COMPLETIONS_REACHED if succeeded >= int(completions) else None
