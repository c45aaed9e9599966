"""Which FineTuneRuns are at work on which stage key, so that no two of them make the same artifact at once.

A claim is what the status says: the key of the group's stage, and an attempt that is not over, in a run that is not. It
is written before the attempt's child is made, and seen by the next look of any other run.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from fabula_operator.kube.resources import Obj
from fabula_operator.plan.group import OPEN

Base = Hashable


@dataclass(frozen=True, slots=True)
class Claim:
    """What one run makes: the base of its folders, the stage's key, and whether it is at work on it."""

    base: Base
    key: str
    at_work: bool


def base_of(obj: Obj) -> Base:
    """What two runs must share for their stages of one key to have the same folder."""
    uri = ((obj.get("spec") or {}).get("output") or {}).get("uri")
    return ("uri", uri.rstrip("/")) if uri else ("namespace", obj["metadata"]["namespace"])


def claim_of(obj: Obj) -> Claim | None:
    """A FineTuneRun's claim; None for other kinds, and before its inputs are known."""
    if obj["kind"] != "FineTuneRun":
        return None
    status = obj.get("status") or {}
    key = next((stage["key"] for stage in status.get("stages") or () if stage.get("key")), None)
    attempts = status.get("attempts") or []
    if key is None:
        return None
    # A run that was refused after an edit keeps its last attempt as it was.
    at_work = bool(attempts) and attempts[-1].get("state") in OPEN and not status.get("finishedAt")
    return Claim(base_of(obj), key, at_work)


class Claims:
    """All claims of runs at work, by what is claimed. Runs are known by `namespace/name`."""

    def __init__(self) -> None:
        self._at_work: dict[Base, dict[str, set[str]]] = {}

    def change(self, run: str, old: Obj | None, new: Obj | None) -> None:
        """Take news of a run: what was known of it, and what is."""
        before, after = (claim_of(one) if one is not None else None for one in (old, new))
        if before == after:
            return
        if before is not None and before.at_work:
            self._at_work[before.base][before.key].discard(run)
            if not self._at_work[before.base][before.key]:
                del self._at_work[before.base][before.key]
            if not self._at_work[before.base]:
                del self._at_work[before.base]
        if after is not None and after.at_work:
            self._at_work.setdefault(after.base, {}).setdefault(after.key, set()).add(run)

    def at_work(self, base: Base) -> Mapping[str, set[str]]:
        """Stage keys under a base to the runs at work on them; a view, not a copy."""
        return self._at_work.get(base, {})
