"""The two clocks of a run that its spec sets: when it must have finished, and how long it stays when it has."""

from __future__ import annotations

from datetime import datetime, timedelta

from fabula_api.base import duration_seconds
from fabula_api.status import FailureDigest, RunStatus
from fabula_api.worker import Spec
from fabula_operator.plan.children import parse_time


def seconds_to_live(spec: Spec) -> float | None:
    """How long a finished run stays (`ttl`); None for ever."""
    return float(duration_seconds(spec.ttl)) if spec.ttl else None


def deadline_of(spec: Spec, status: RunStatus) -> datetime | None:
    """When the run must have finished; suspension does not stop this clock. None without one, or before the start."""
    started = parse_time(status.started_at)
    return started + timedelta(seconds=duration_seconds(spec.deadline)) if spec.deadline and started else None


def seconds_left(spec: Spec, status: RunStatus, now: datetime) -> float | None:
    """Until the deadline, at least 0; None where there is none."""
    over = deadline_of(spec, status)
    return max(0.0, (over - now).total_seconds()) if over else None


def deadline_exceeded(spec: Spec) -> FailureDigest:
    """The failure of a run that its deadline found at work."""
    return FailureDigest(
        reason="DeadlineExceeded",
        message=f"the run did not finish within spec.deadline ({spec.deadline}) of its start; what is finished stays "
        "and is reused when the deadline is raised",
    )
