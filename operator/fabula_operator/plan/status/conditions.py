"""Conditions as the Kubernetes API conventions want them: all set at first sight, times move only with the status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fabula_api.outside import camel_reason, plain
from fabula_api.status import Condition, ConditionStatus
from fabula_operator.plan.times import timestamp

ORDER = (
    "Accepted", "Running", "Suspended", "Succeeded", "Failed", "Finished", "Reconciling", "Stalled", "Healthy",
    "GatesPassed",
)  # fmt: skip
Wanted = dict[str, tuple[ConditionStatus, str, str]]
"""Type to (status, reason, message)."""


def conditions(old: Iterable[Condition], wanted: Wanted, generation: int, now: datetime) -> list[Condition]:
    """The wanted conditions in a fixed order; `lastTransitionTime` stays where the status stays."""
    before = {condition.type: condition for condition in old}
    found = []
    for type_ in sorted(wanted, key=ORDER.index):
        status, reason, message = wanted[type_]
        former = before.get(type_)
        unchanged = former is not None and former.status == status
        found.append(
            Condition(
                type=type_,
                status=status,
                # The last place that both pass: much of what they tell was said by a worker or by another controller.
                reason=camel_reason(reason),
                message=plain(message)[:32768],
                observed_generation=generation,
                last_transition_time=former.last_transition_time if former and unchanged else timestamp(now),
            )
        )
    return found


def _finishing(succeeded: ConditionStatus, failed: ConditionStatus, reason: str, message: str) -> Wanted:
    finished: ConditionStatus = "True" if "True" in (succeeded, failed) else "False"
    return {
        "Succeeded": (succeeded, reason, message if succeeded == "True" else ""),
        "Failed": (failed, reason, message if failed == "True" else ""),
        "Finished": (finished, reason, message if finished == "True" else ""),
    }


def waiting(reason: str, message: str, *, stalled: bool = False) -> Wanted:
    """An accepted run that waits for something outside it; `stalled` when somebody has to mend that first."""
    return {
        "Accepted": ("True", "Valid", ""),
        "Running": ("False", reason, message),
        "Suspended": ("False", "NotSuspended", ""),
        "Reconciling": ("True", reason, message),
        "Stalled": ("True", reason, message) if stalled else ("False", "Progressing", ""),
        **_finishing("False", "False", "NotFinished", ""),
    }


def at_work(reason: str, message: str) -> Wanted:
    """A run with children that run."""
    return {
        "Accepted": ("True", "Valid", ""),
        "Running": ("True", reason, message),
        "Suspended": ("False", "NotSuspended", ""),
        "Reconciling": ("True", "Running", ""),
        "Stalled": ("False", "Progressing", ""),
        **_finishing("False", "False", "NotFinished", ""),
    }


def suspended(message: str) -> Wanted:
    """A run that is held by its spec."""
    return {
        "Accepted": ("True", "Valid", ""),
        "Running": ("False", "Suspended", message),
        "Suspended": ("True", "SuspendedBySpec", message),
        "Reconciling": ("False", "Suspended", ""),
        "Stalled": ("False", "Suspended", ""),
        **_finishing("False", "False", "NotFinished", ""),
    }


def succeeded(message: str, reason: str = "Succeeded") -> Wanted:
    """A run that reached its end."""
    return {
        "Accepted": ("True", "Valid", ""),
        "Running": ("False", "Succeeded", ""),
        "Suspended": ("False", "NotSuspended", ""),
        "Reconciling": ("False", "Succeeded", ""),
        "Stalled": ("False", "Succeeded", ""),
        **_finishing("True", "False", reason, message),
    }


def failed(reason: str, message: str) -> Wanted:
    """A run that failed for good."""
    return {
        "Accepted": ("True", "Valid", ""),
        "Running": ("False", reason, message),
        "Suspended": ("False", "NotSuspended", ""),
        "Reconciling": ("False", reason, ""),
        "Stalled": ("True", reason, message),
        **_finishing("False", "True", reason, message),
    }


def refused(reason: str, message: str) -> Wanted:
    """A run that cannot be carried out as it is written. It is finished, so that `kubectl wait` ends."""
    return {**failed(reason, message), "Accepted": ("False", reason, message)}
