"""Whether a pod that reports is to go on, and whether what it tells counts."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.seen.observed import Run


@dataclass(frozen=True, slots=True)
class Standing:
    """How a pod stands to its run."""

    stop: bool
    """It is to end."""
    heard: bool
    """What it tells is kept."""


def standing(run: Run, group: str | None, stage: str, attempt: int) -> Standing:
    """Of a pod of an attempt at a stage; `group` names the stage with a group of ranks, where the run has one."""
    over = run.status.state in ("Succeeded", "Failed")
    suspended = bool(run.spec.get("suspend"))
    attempts = KINDS[run.identity.kind].attempts(run.status)
    overtaken = stage == group and attempt < max((known.number for known in attempts), default=1)
    if run.deleting or suspended:
        stop = True
    elif over:
        # One that was edited since is about to start again.
        stop = run.status.observed_generation == run.generation
    else:
        stop = overtaken
    # Pods that are asked to end still tell what they saved before they did.
    return Standing(stop, heard=not stop or (not over and (suspended or overtaken)))
