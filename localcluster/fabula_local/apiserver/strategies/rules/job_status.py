"""What a Job's status may say and how it may change.

Rules: k8s.io/kubernetes/pkg/apis/batch/validation ValidateJobStatusUpdate.
A controller that breaks one of them can write nothing to a Job on a real cluster.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from fabula_local.apiserver.strategies.rules.numbers import nonnegative
from fabula_local.schema.errors import OMITTED, FieldError, duplicate, invalid, required

Object = Mapping[str, Any]

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_EXCLUSIVE = (
    ("Complete", "Failed", "cannot set Complete=True and Failed=true conditions"),
    ("Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions"),
)
_ANNOUNCED = (
    ("Failed", "FailureTarget", "cannot set Failed=True condition without the FailureTarget=true condition"),
    (
        "Complete",
        "SuccessCriteriaMet",
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    ),
)
"""An end, and the condition that must have announced it while pods were still being ended."""
_CRITERIA = (
    ("SuccessCriteriaMet", "Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
    ("SuccessCriteriaMet", "FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
)
_FINAL = ("Failed", "Complete", "FailureTarget")


def job_status_rules(new: Object, old: Object) -> Iterator[FieldError]:
    """A change of status; one that leaves the status as it was is not looked at."""
    status, before = new.get("status") or {}, old.get("status") or {}
    if status == before:
        return
    yield from _state(new.get("spec") or {}, status)
    yield from _change(new.get("spec") or {}, status, before)


def _true(status: Object) -> set[str]:
    return {
        condition.get("type", "") for condition in status.get("conditions") or () if condition.get("status") == "True"
    }


def _time(status: Object, key: str) -> datetime | None:
    text = status.get(key)
    return datetime.fromisoformat(text) if text else None


def _state(spec: Object, status: Object) -> Iterator[FieldError]:
    held, finished = _true(status), bool(_true(status) & {"Complete", "Failed"})
    active, completed = status.get("active") or 0, "Complete" in _true(status)
    start, completion = _time(status, "startTime"), _time(status, "completionTime")
    uncounted = status.get("uncountedTerminatedPods") or {}
    yield from nonnegative(status, "status", *_COUNTS)
    yield from _uncounted(uncounted)
    yield from _together(held, _EXCLUSIVE)
    if completion and not completed:
        why = "cannot set completionTime when there is no Complete=True condition"
        yield invalid("status.completionTime", status["completionTime"], why)
    if completed and not completion:
        yield required("status.completionTime", "completionTime is required for Complete jobs")
    if start and completion and completion < start:
        yield invalid(
            "status.completionTime", status["completionTime"], "completionTime cannot be set before startTime"
        )
    for end, announcement, why in _ANNOUNCED:
        if end in held and announcement not in held:
            yield invalid("status.conditions", OMITTED, why)
    if finished and active > 0:
        yield invalid("status.active", active, "active>0 is invalid for finished job")
    if finished and not start:
        yield required("status.startTime", "startTime is required for finished job")
    if finished and any(uncounted.get(key) for key in ("succeeded", "failed")):
        why = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", dict(uncounted), why)
    yield from _indexes(spec, status)
    if finished and (terminating := status.get("terminating") or 0) > 0:
        yield invalid("status.terminating", terminating, "terminating>0 is invalid for finished job")
    if (ready := status.get("ready")) is not None and ready > active:
        yield invalid("status.ready", ready, "cannot set more ready pods than active")
    yield from _together(held, _CRITERIA)


def _together(held: set[str], rules: tuple[tuple[str, str, str], ...]) -> Iterator[FieldError]:
    for condition, other, why in rules:
        if {condition, other} <= held:
            yield invalid("status.conditions", OMITTED, why)


def _uncounted(uncounted: Object) -> Iterator[FieldError]:
    seen: set[str] = set()
    for key in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(key) or ()):
            here = f"status.uncountedTerminatedPods.{key}[{index}]"
            if not uid:
                yield invalid(here, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(here, uid)
            seen.add(uid)


def _indexes(spec: Object, status: Object) -> Iterator[FieldError]:
    completed, failed = status.get("completedIndexes"), status.get("failedIndexes")
    if completed and spec.get("completionMode") != "Indexed":
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield invalid("status.completedIndexes", completed, why)
    if failed is not None and spec.get("backoffLimitPerIndex") is None:
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield invalid("status.failedIndexes", failed, why)


def _change(spec: Object, status: Object, before: Object) -> Iterator[FieldError]:
    held, had = _true(status), _true(before)
    for condition in _FINAL:
        if condition in had - held:
            yield invalid("status.conditions", OMITTED, f"cannot disable the terminal {condition}=True condition")
    # An Indexed Job whose completions equal its parallelism may be scaled down, and its successes with it.
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for count in ("failed", "succeeded"):
        if (status.get(count) or 0) < (before.get(count) or 0) and not (count == "succeeded" and elastic):
            yield invalid(f"status.{count}", status.get(count) or 0, f"cannot decrease the {count} counter")
    times = before.get("completionTime"), status.get("completionTime")
    if all(times) and times[0] != times[1]:
        yield invalid("status.completionTime", times[1], "completionTime cannot be mutated")
    started = before.get("startTime")
    if started and started != status.get("startTime") and not spec.get("suspend"):
        yield required("status.startTime", "startTime cannot be removed for unsuspended job")
    if "SuccessCriteriaMet" in had - held:
        yield invalid("status.conditions", OMITTED, "cannot disable the SuccessCriteriaMet=True condition")
    if "Complete" in had and "SuccessCriteriaMet" in held - had:
        why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        yield invalid("status.conditions", OMITTED, why)
