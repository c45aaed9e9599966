"""GPU hours of attempts: how many were used, how many of them in vain, and what they cost.

Ranks on CPUs hold no GPU, so their hours are not counted. A status has room for some attempts only; of those before
them it keeps the sum, which budgets and hours count all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import ATTEMPTS_LISTED, Attempt, EarlierAttempts, GpuHours
from fabula_operator.plan.times import duration_text, parse_time

OVER = ("Failed", "Suspended")


def gpu_hours(attempts: Sequence[Attempt], gpus: int, seen_at: datetime | None) -> GpuHours:
    """Hours times GPUs. The attempt at work counts up to its last report, so that time alone changes nothing."""
    used, wasted = 0.0, 0.0
    for position, attempt in enumerate(attempts):
        after = attempts[position + 1] if position + 1 < len(attempts) else None
        held = gpus if attempt.gpus is None else attempt.gpus
        hours = _hours(attempt, seen_at)
        used += held * hours
        if attempt.state in OVER:
            wasted += held * min(hours, _repeated_hours(attempt, after, hours))
    return GpuHours(used=round(used, 4), wasted=round(wasted, 4))


def timed(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts with how long those that are over took."""
    return [
        attempt.replace(duration=duration_text(3600 * _hours(attempt, None)))
        if attempt.started_at and attempt.finished_at
        else attempt
        for attempt in attempts
    ]


def cost_usd(hours: GpuHours, spec: FineTuneRunSpec, prices: Mapping[str, float]) -> float | None:
    """Dollars for the hours; None without a price, and for ranks on CPUs."""
    price = spec.gpu_hour_usd
    if price is None and spec.topology.product is not None:
        price = prices.get(spec.topology.product)
    if price is None or spec.topology.device != "cuda":
        return None
    return round(hours.used * price, 4)


def _hours(attempt: Attempt, seen_at: datetime | None) -> float:
    start, end = parse_time(attempt.started_at), parse_time(attempt.finished_at) or seen_at
    return max(0.0, (end - start).total_seconds() / 3600) if start and end else 0.0


def _repeated_hours(attempt: Attempt, after: Attempt | None, hours: float) -> float:
    """Hours of an attempt that the next one did again.

    Until the next one says where it began, it is taken to begin at the last checkpoint that was heard of.
    """
    resumed = after.resumed_from_step if after else None
    if resumed is None:
        resumed = 0 if after is not None and after.state == "Succeeded" else attempt.committed_step
    committed, end = parse_time(attempt.committed_at), parse_time(attempt.finished_at)
    if resumed is not None and resumed == attempt.committed_step and committed is not None and end is not None:
        return max(0.0, (end - committed).total_seconds() / 3600)
    # From another checkpoint, or one whose time is not known: by the share of its steps.
    start = attempt.resumed_from_step or 0
    steps = (attempt.last_step or 0) - start
    if steps <= 0:
        return hours
    return hours * min(1.0, max(0.0, 1 - ((resumed or 0) - start) / steps))


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
    charged = [attempt.budget for attempt in dropped if attempt.generation == generation]
    former = earlier if earlier.generation == generation else EarlierAttempts()
    return EarlierAttempts(
        count=dropped[-1].number,
        gpu_hours=hours,
        generation=generation,
        infrastructure=former.infrastructure + charged.count("infrastructure"),
        failure=former.failure + charged.count("failure"),
    )


def _sum(first: GpuHours, other: GpuHours) -> GpuHours:
    return GpuHours(used=round(first.used + other.used, 4), wasted=round(first.wasted + other.wasted, 4))
