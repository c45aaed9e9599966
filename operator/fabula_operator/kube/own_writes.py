"""Writes of this process that no watch has told of yet, for API servers whose versions cannot be compared.

Where they can, which Kubernetes documents from 1.35 on, what a write answered is put into the cache at once and older
news never replace it. Elsewhere they might, so a plan for the run waits for the watch to tell of that very version, and
after a while the object is read by its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from fabula_operator.kube.resources import Obj

COMPARABLE_FROM = (1, 35)


class Written(NamedTuple):
    """One object that was written."""

    kind: str
    name: str


class OwnWrites:
    """What was written for each run, by the run's uid."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._versions: dict[str, dict[Written, str]] = {}
        self._last: dict[str, float] = {}

    def wrote(self, run: str, obj: Obj) -> None:
        """Remember a write for a run, by what it answered."""
        written = Written(obj["kind"], obj["metadata"]["name"])
        self._versions.setdefault(run, {})[written] = obj["metadata"]["resourceVersion"]
        self._last[run] = self._clock()

    def heard(self, run: str, obj: Obj) -> bool:
        """Whether a watch or a list brings what was waited for."""
        written = Written(obj["kind"], obj["metadata"]["name"])
        if self._versions.get(run, {}).get(written) != obj["metadata"].get("resourceVersion"):
            return False
        self.read(run, written)
        return True

    def read(self, run: str, written: Written) -> None:
        """The object was read by its name, or is gone."""
        waiting = self._versions.get(run, {})
        waiting.pop(written, None)
        if not waiting:
            self.forget(run)

    def forget(self, run: str) -> None:
        """Nothing is waited for any more."""
        self._versions.pop(run, None)
        self._last.pop(run, None)

    def awaited(self, run: str) -> list[Written]:
        """What was written for a run and has not come back."""
        return sorted(self._versions.get(run, ()))

    def since(self, run: str) -> float:
        """Seconds since the last such write."""
        return self._clock() - self._last.get(run, self._clock())


def comparable(version: Obj | None) -> bool:
    """Whether a server that says this at /version documents that versions of one resource compare as integers."""
    try:
        numbers = (int(str((version or {})["major"])), int(str((version or {})["minor"]).rstrip("+")))
    except (KeyError, ValueError):
        return False
    return numbers >= COMPARABLE_FROM
