"""Which runs have a group of ranks at work on which stage key, so that no two of them make the same artifact at once.

A claim is what the status says: the key of the group's stage, and an attempt that is not over, in a run that is not. It
is written before the attempt's child is made, and seen by the next look of any other run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fabula_operator.kube.resources import Obj
from fabula_operator.plan.groups.group import OPEN, group_of
from fabula_operator.plan.stages.key import base_folder


class Place(NamedTuple):
    """What decides the base of a run's folders, as the run has it."""

    output: str | None
    namespace: str

    def folder(self, root: str) -> str | None:
        """The base in its one spelling, for places of two spellings may be the same; None where it is no place."""
        try:
            return base_folder(self.output, self.namespace, root)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one run makes: where its folders are, the stage's key, and whether it is at work on it."""

    place: Place
    key: str
    at_work: bool


def place_of(obj: Obj) -> Place:
    """What two runs must share for their stages of one key to have the same folder, once it is resolved."""
    uri = ((obj.get("spec") or {}).get("output") or {}).get("uri")
    return Place(uri if isinstance(uri, str) else None, obj["metadata"]["namespace"])


def claim_of(obj: Obj) -> Claim | None:
    """What a run with a group of ranks makes; None for others, and before its inputs are known."""
    if (group := group_of(obj)) is None:
        return None
    status = obj.get("status") or {}
    key = next((stage.get("key") for stage in status.get("stages") or () if stage.get("name") == group), None)
    attempts = status.get("attempts") or []
    if key is None:
        return None
    # A run that was refused after an edit keeps its last attempt as it was.
    at_work = bool(attempts) and attempts[-1].get("state") in OPEN and not status.get("finishedAt")
    return Claim(place_of(obj), key, at_work)


class Claims:
    """All claims of runs at work, by what is claimed. Runs are known by `namespace/name`."""

    def __init__(self) -> None:
        self._at_work: dict[str, dict[str, Place]] = {}

    def change(self, run: str, old: Obj | None, new: Obj | None) -> None:
        """Take news of a run: what was known of it, and what is."""
        before, after = (claim_of(obj) if obj is not None else None for obj in (old, new))
        if before == after:
            return
        if before is not None and before.at_work:
            self._at_work[before.key].pop(run, None)
            if not self._at_work[before.key]:
                del self._at_work[before.key]
        if after is not None and after.at_work:
            self._at_work.setdefault(after.key, {})[run] = after.place

    def beside(self, obj: Obj, root: str) -> Mapping[str, Collection[str]]:
        """Stage keys to the runs at work on them in the folder that a run has them in; a view, not a copy."""
        return _Beside(self._at_work, place_of(obj).folder(root), root)


class _Beside(Mapping[str, Collection[str]]):
    def __init__(self, at_work: Mapping[str, Mapping[str, Place]], folder: str | None, root: str) -> None:
        self._at_work, self._folder, self._root = at_work, folder, root

    def __getitem__(self, key: str) -> Collection[str]:
        return [run for run, place in self._at_work[key].items() if place.folder(self._root) == self._folder]

    def __iter__(self) -> Iterator[str]:
        return iter(self._at_work)

    def __len__(self) -> int:
        return len(self._at_work)
