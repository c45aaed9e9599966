"""Conditions as the Kubernetes API conventions want them: all set at first sight, times move only with the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime

from fabula_api.outside import camel_reason, plain
from fabula_api.status import Condition, ConditionStatus
from fabula_operator.plan.times import timestamp

Told = tuple[ConditionStatus, str, str]
"""(status, reason, message) of one condition."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The conditions that a run of every kind has, in the order in which they stand; a kind's own come behind them."""

    accepted: Told
    running: Told
    suspended: Told
    succeeded: Told
    failed: Told
    finished: Told
    reconciling: Told
    stalled: Told

    def told(self) -> dict[str, Told]:
        """By type."""
        return {field.name.capitalize(): getattr(self, field.name) for field in fields(self)}


TYPES: tuple[str, ...] = tuple(field.name.capitalize() for field in fields(Phase))


def conditions(old: Iterable[Condition], told: Mapping[str, Told], generation: int, now: datetime) -> list[Condition]:
    """The conditions as they are told, in that order; `lastTransitionTime` stays where the status stays."""
    before = {condition.type: condition for condition in old}
    current = []
    for type_, (status, reason, message) in told.items():
        former = before.get(type_)
        unchanged = former is not None and former.status == status
        current.append(
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
    return current


_VALID: Told = ("True", "Valid", "")
_NOT_SUSPENDED: Told = ("False", "NotSuspended", "")
_NOT_FINISHED: Told = ("False", "NotFinished", "")
_PROGRESSING: Told = ("False", "Progressing", "")


def waiting(reason: str, message: str, *, stalled: bool = False) -> Phase:
    """An accepted run that waits for something outside it; `stalled` when somebody has to mend that first."""
    return Phase(
        accepted=_VALID,
        running=("False", reason, message),
        suspended=_NOT_SUSPENDED,
        succeeded=_NOT_FINISHED,
        failed=_NOT_FINISHED,
        finished=_NOT_FINISHED,
        reconciling=("True", reason, message),
        stalled=("True", reason, message) if stalled else _PROGRESSING,
    )


def at_work(reason: str, message: str) -> Phase:
    """A run with children that run."""
    return Phase(
        accepted=_VALID,
        running=("True", reason, message),
        suspended=_NOT_SUSPENDED,
        succeeded=_NOT_FINISHED,
        failed=_NOT_FINISHED,
        finished=_NOT_FINISHED,
        reconciling=("True", "Running", ""),
        stalled=_PROGRESSING,
    )


def suspended(message: str) -> Phase:
    """A run that is held by its spec."""
    return Phase(
        accepted=_VALID,
        running=("False", "Suspended", message),
        suspended=("True", "SuspendedBySpec", message),
        succeeded=_NOT_FINISHED,
        failed=_NOT_FINISHED,
        finished=_NOT_FINISHED,
        reconciling=("False", "Suspended", ""),
        stalled=("False", "Suspended", ""),
    )


def succeeded(message: str, reason: str = "Succeeded") -> Phase:
    """A run that reached its end."""
    return Phase(
        accepted=_VALID,
        running=("False", "Succeeded", ""),
        suspended=_NOT_SUSPENDED,
        succeeded=("True", reason, message),
        failed=("False", reason, ""),
        finished=("True", reason, message),
        reconciling=("False", "Succeeded", ""),
        stalled=("False", "Succeeded", ""),
    )


def failed(reason: str, message: str) -> Phase:
    """A run that failed for good."""
    return Phase(
        accepted=_VALID,
        running=("False", reason, message),
        suspended=_NOT_SUSPENDED,
        succeeded=("False", reason, ""),
        failed=("True", reason, message),
        finished=("True", reason, message),
        reconciling=("False", reason, ""),
        stalled=("True", reason, message),
    )


def refused(reason: str, message: str) -> Phase:
    """A run that cannot be carried out as it is written. It is finished, so that `kubectl wait` ends."""
    return replace(failed(reason, message), accepted=("False", reason, message))
