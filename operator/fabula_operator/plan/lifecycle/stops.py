"""Which children have to stop, and how."""

from __future__ import annotations

from fabula_operator.plan.actions import Action, DeleteChild, SuspendChild
from fabula_operator.plan.seen.api_objects import Child
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.stages.view import StageView


def halt(seen: Observed) -> tuple[Action, ...]:
    """Stop what still runs; suspending it keeps the logs of pods that have ended."""
    return tuple(
        action
        for child in seen.children
        if not child.deleting and (not child.terminal or pods_left(seen, child.uid))
        for action in stop(child)
    )


def stop(child: Child) -> list[Action]:
    """Let a child make no more pods. Kueue would start a suspended one again, so a queued one has to go, unless it is
    over."""
    if child.queue is not None and not child.terminal:
        return [DeleteChild(child, "the run is held or over, and its queue must not admit it any more")]
    return [] if child.suspended else [SuspendChild(child, True)]


def pods_left(seen: Observed, uid: str) -> bool:
    """Whether a child still has pods in which something runs, and that nobody has told to end."""
    pods = (pod for pod in seen.pods if pod.owner_uid == uid and not pod.deleting)
    return any(not pod.terminal or pod.beside for pod in pods)


def released(seen: Observed, planned: list[Action]) -> list[Action]:
    """Stop children whose workers have all ended, for the sake of what else runs in their pods; beside what is
    `planned` for them."""
    asked = {action.child.uid for action in planned if isinstance(action, DeleteChild | SuspendChild)}
    kept = {pod.owner_uid for pod in seen.pods if pod.terminal and pod.beside and not pod.deleting}
    return [
        action
        for child in seen.children
        if child.terminal and child.uid in kept - asked and not child.deleting
        for action in stop(child)
    ]


def superseded(seen: Observed, views: list[StageView]) -> list[Action]:
    """Children that an edit of the spec made pointless."""
    wanted = {view.child.uid for view in views if view.child} | {
        action.child.uid for view in views for action in view.actions if isinstance(action, DeleteChild | SuspendChild)
    }
    groups = {view.stage.name for view in views if view.stage.shape == "group"}
    return [
        DeleteChild(child, "its output is not wanted any more: its stage is through, or the spec was edited")
        for child in seen.children
        if child.uid not in wanted and child.stage not in groups and not child.terminal and not child.deleting
    ]
