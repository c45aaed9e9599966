"""What a tracker is told, and what it must be able to be told, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from fabula_api.worker import RunReference

Outcome = Literal["finished", "failed", "stopped", "overtaken"]
"""`overtaken`: another attempt speaks for the run, so this one says nothing of how it stands."""


@dataclass(frozen=True, slots=True)
class About:
    """What a tracker is told of a run once."""

    run: RunReference
    attempt: int
    resumed_from: int
    """Step that the attempt goes on from; what came after it is done again."""
    settings: dict[str, str | int | float | bool]
    tags: dict[str, str]

    @property
    def name(self) -> str:
        """The run's name among those of its tracker."""
        return f"{self.run.namespace}/{self.run.name}"


class Tracker(Protocol):
    """One service. Each method may raise or block; it runs in a thread of its own."""

    def start(self) -> None:
        """Make the run there, or find the one of a former attempt."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell the figures of a step."""

    def finish(self, outcome: Outcome) -> None:
        """Say how the attempt ended."""
