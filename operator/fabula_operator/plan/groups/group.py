"""A group as the questions about it need it: what was seen, what is recorded, and when its attempts began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from fabula_api.fine_tune_blocks import Watchdog
from fabula_api.fine_tune_status import Attempt, EarlierAttempts
from fabula_api.recipes import Kind, Stage, recipes, stages_of
from fabula_api.shared_spec import Retries
from fabula_api.specs import DEFAULT
from fabula_api.status import StageStatus
from fabula_operator.plan.groups.attempts import Budget, spent
from fabula_operator.plan.seen.api_objects import Child
from fabula_operator.plan.seen.observed import Observed, Report
from fabula_operator.plan.times import timestamp
from fabula_operator.render.launch import Launch

OPEN = ("Pending", "Running")


@cache
def group_name(kind: Kind, recipe: str) -> str | None:
    """Name of the stage in which a run of the kind has a group of ranks under the recipe."""
    return next((stage.name for stage in stages_of(recipe, kind) or () if stage.shape == "group"), None)


def group_of(obj: Mapping[str, Any]) -> str | None:
    """Name of the stage with a group of ranks in a run, as the API has it; None where it has no such stage."""
    named = (obj.get("spec") or {}).get("recipe", DEFAULT)
    return group_name(obj["kind"], named) if isinstance(named, str) else None


@cache
def has_groups(kind: Kind) -> bool:
    """Whether a run of the kind may have a group, under some recipe that is installed."""
    return any(group_name(kind, recipe) for recipe in recipes())


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a run's spec and status say of its group."""

    watchdog: Watchdog
    foreign: bool
    """Whether what its pods run is a trainer of somebody else's."""
    attempts: tuple[Attempt, ...]
    earlier: EarlierAttempts | None
    """Those that are not listed any more."""
    step_seconds: float | None
    """What a step usually takes, as far as former reports told."""


@dataclass(frozen=True, slots=True)
class Group:
    """What every question about a group is asked about."""

    seen: Observed
    stage: Stage
    launch: Launch
    """As for attempt 1; the number is filled in."""
    status: StageStatus
    attempts: tuple[Attempt, ...]
    """Those that are remembered, and what follows for them from what was seen."""
    run: Remembered
    suspend: bool
    now: datetime

    @property
    def retries(self) -> Retries:
        return self.launch.retries

    def exhausted(self, budget: Budget) -> bool:
        """Whether the budget pays for no further attempt."""
        allowed = self.retries.infrastructure if budget == "infrastructure" else self.retries.failure
        return spent(self.attempts, self.run.earlier, budget, self.seen.run.generation) > allowed

    def attempt(self, number: int, generation: int) -> Attempt:
        """An attempt that is due."""
        held = self.launch.gpus * self.launch.shards
        return Attempt(number=number, state="Pending", generation=generation, gpus=held)

    def child(self, number: int) -> Child | None:
        """The child of an attempt under the present key."""
        name = replace(self.launch, attempt=number).child
        return next((child for child in self.seen.children if child.name == name), None)

    def superseded(self, number: int) -> Child | None:
        """The child of an attempt under a key that was edited away."""
        of_stage = (child for child in self.seen.children if child.stage == self.stage.name)
        return next((child for child in of_stage if child.attempt == number), None)


def last_report(group: Group, child: Child) -> Report | None:
    """The attempt's newest report; the pod it came from may be gone since."""
    return max(
        (
            report
            for report in group.seen.reports
            if report.body.attempt == child.attempt and report.body.stage == child.stage
        ),
        key=lambda report: report.received_at,
        default=None,
    )


def running_status(group: Group, child: Child) -> StageStatus:
    """The stage as one that is at work."""
    started = group.status.started_at or timestamp(child.created_at or group.now)
    return group.status.replace(state="Running", started_at=started)


def with_start(attempt: Attempt, child: Child | None) -> Attempt:
    """The attempt with the time it began, if it did."""
    begun = begun_at(child) if child is not None else None
    if attempt.started_at or begun is None:
        return attempt
    return attempt.replace(started_at=timestamp(begun))


def begun_at(child: Child) -> datetime | None:
    """When a child's pods were asked for; time in a queue takes no GPU."""
    return child.started_at if child.queue is not None else child.created_at
