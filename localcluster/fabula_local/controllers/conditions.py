"""Conditions of a status: read them, and set them without churn."""

from collections.abc import Sequence
from datetime import datetime

from fabula_local import timestamps
from fabula_local.kinds import Obj


def find_condition(conditions: Sequence[Obj], kind: str) -> Obj | None:
    """The condition of that type."""
    return next((condition for condition in conditions if condition["type"] == kind), None)


def is_true(obj: Obj, kind: str) -> bool:
    """Whether the object's status has that condition with status True."""
    condition = find_condition((obj.get("status") or {}).get("conditions") or (), kind)
    return condition is not None and condition["status"] == "True"


def with_condition(
    conditions: Sequence[Obj], kind: str, status: str, reason: str, message: str, now: datetime, **extra: str
) -> list[Obj]:
    """A copy with that condition set; lastTransitionTime moves only when its status changes. `extra`: more fields."""
    moment = timestamps.rfc3339(now)
    fresh = {"type": kind, "status": status, "reason": reason, "message": message, **extra}
    result: list[Obj] = []
    seen = False
    for condition in conditions:
        if condition["type"] != kind:
            result.append(condition)
            continue
        seen = True
        kept = moment if condition["status"] != status else condition.get("lastTransitionTime", moment)
        result.append({**condition, **fresh, "lastTransitionTime": kept})
    if not seen:
        result.append({**fresh, "lastTransitionTime": moment})
    return result
