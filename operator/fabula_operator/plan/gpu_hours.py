"""GPU hours of a group's attempts, and how many of them went into steps that had to be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from fabula_api.fine_tune_run import Attempt, GpuHours
from fabula_operator.plan.children import parse_time


def gpu_hours(attempts: Sequence[Attempt], gpus: int, seen_at: datetime | None) -> GpuHours:
    """Hours times GPUs. The attempt at work counts up to its last report, so that time alone changes nothing."""
    used = sum(_hours(one, seen_at) for one in attempts) * gpus
    wasted = sum(_hours(one, seen_at) * _repeated(one, after) for one, after in pairwise(attempts)) * gpus
    return GpuHours(used=round(used, 4), wasted=round(wasted, 4))


def _hours(attempt: Attempt, seen_at: datetime | None) -> float:
    start, end = parse_time(attempt.started_at), parse_time(attempt.finished_at) or seen_at
    return max(0.0, (end - start).total_seconds() / 3600) if start and end else 0.0


def _repeated(attempt: Attempt, after: Attempt) -> float:
    """Share of an attempt's steps that the next one did again; all of them while it is not known where that began."""
    start = attempt.resumed_from_step or 0
    steps = (attempt.last_step or 0) - start
    if steps <= 0:
        return 1.0
    kept = (after.resumed_from_step or 0) - start
    return min(1.0, max(0.0, 1 - kept / steps))
