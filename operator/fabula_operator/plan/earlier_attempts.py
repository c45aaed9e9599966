"""What attempts came to that a status has no room for any more: budgets and GPU hours count them all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fabula_api.fine_tune_run import ATTEMPTS_LISTED, Attempt, EarlierAttempts, GpuHours
from fabula_operator.plan.gpu_hours import gpu_hours


def listed(
    attempts: Sequence[Attempt], earlier: EarlierAttempts | None, gpus: int, seen_at: datetime | None
) -> tuple[list[Attempt], EarlierAttempts | None, GpuHours]:
    """The attempts to list, those before them in sum, and the GPU hours of all; `attempts` are in order of number."""
    kept, dropped = list(attempts[-ATTEMPTS_LISTED:]), attempts[:-ATTEMPTS_LISTED]
    hours = gpu_hours(attempts, gpus, seen_at)
    before = earlier.gpu_hours if earlier else GpuHours()
    if dropped:
        # The difference, for what the last of them wasted depends on the one after it.
        left = gpu_hours(kept, gpus, seen_at)
        gone = GpuHours(used=hours.used - left.used, wasted=hours.wasted - left.wasted)
        earlier = _with(earlier or EarlierAttempts(), dropped, _sum(before, gone))
    return kept, earlier, _sum(before, hours)


def _with(earlier: EarlierAttempts, dropped: Sequence[Attempt], hours: GpuHours) -> EarlierAttempts:
    generation = dropped[-1].generation
    charged = [one.budget for one in dropped if one.generation == generation]
    former = earlier if earlier.generation == generation else EarlierAttempts()
    return EarlierAttempts(
        count=dropped[-1].number,
        gpu_hours=hours,
        generation=generation,
        infrastructure=former.infrastructure + charged.count("infrastructure"),
        failure=former.failure + charged.count("failure"),
    )


def _sum(one: GpuHours, other: GpuHours) -> GpuHours:
    return GpuHours(used=round(one.used + other.used, 4), wasted=round(one.wasted + other.wasted, 4))
