"""What a plan asks for. Each action is idempotent, so that it may be carried out again after a crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fabula_api.status import RunStatus
from fabula_operator.plan.seen.api_objects import Child
from fabula_operator.plan.seen.observed import Subject
from fabula_operator.render.launch import Launch


@dataclass(frozen=True, slots=True)
class EnsureChild:
    """Create the child unless it is there."""

    launch: Launch


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Delete that very child, with its pods."""

    child: Child
    why: str


@dataclass(frozen=True, slots=True)
class SuspendChild:
    """Set the child's suspend field."""

    child: Child
    suspend: bool


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete the run itself: its time to live is over."""


Action = EnsureChild | DeleteChild | SuspendChild | DeleteRun


@dataclass(frozen=True, slots=True)
class Notice:
    """An event to emit. The same identity is emitted once, however often it is planned."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    identity: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The next actions and status of a run. Order of execution: notices, status, actions."""

    status: RunStatus | None = None
    """None leaves the status alone."""
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    requeue_after: float | None = None
    """Seconds after which to look again even if nothing happens, because something may be to be done."""
    retell_after: float | None = None
    """Seconds after which there may be something new to tell, and nothing to do."""
    unexplained: tuple[Subject, ...] = ()
    """Children and pods that are late: their newest Warning event would say why."""

    @property
    def queues(self) -> bool:
        """Whether a child is put into a queue."""
        return any(isinstance(action, EnsureChild) and action.launch.queue is not None for action in self.actions)

    @property
    def starts_group(self) -> bool:
        """Whether a group of ranks is started."""
        return any(isinstance(action, EnsureChild) and action.launch.shape == "group" for action in self.actions)
