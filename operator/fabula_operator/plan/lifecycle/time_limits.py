"""What time does to a run: the deadline and time to live that its spec sets, and when one that gets nowhere is called
stalled, for `Progressing` alone says nothing after a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fabula_api.base import duration_seconds
from fabula_api.status import ConditionStatus, FailureDigest, RunStatus
from fabula_api.worker import Spec
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.seen.observed import Observed, Waiting
from fabula_operator.plan.stages.view import StageView
from fabula_operator.plan.times import parse_time, timestamp


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


@dataclass(frozen=True, slots=True)
class Standstill:
    """Whether a run stands still."""

    condition: tuple[ConditionStatus, str, str] | None = None
    """Stalled, where there is more to say than that it progresses."""
    look_again: float | None = None


def waited(seen: Observed, waiting: Waiting, now: datetime) -> Standstill:
    """Of a run whose pods wait for something: stalled once they have for long."""
    if waiting.since is None:
        return Standstill()
    left = _left(seen, waiting.since, now)
    return Standstill(look_again=left) if left > 0 else Standstill(("True", waiting.reason, waiting.message))


def unheard(seen: Observed, spec: Spec, views: Sequence[StageView], now: datetime) -> Standstill:
    """Of a run whose pods run: stalled once none of a stage's pods has told anything for long."""
    again: list[float] = []
    for view in views:
        since = _silent_since(seen, view)
        if since is None:
            continue
        if (left := _left(seen, since, now)) > 0:
            again.append(left)
            continue
        message = f"no pod of stage {view.status.name} has reported anything since {timestamp(since)}; see its log"
        return Standstill((KINDS[seen.run.identity.kind].told_by_silence(spec), "NoReport", message))
    return Standstill(look_again=min(again, default=None))


def _silent_since(seen: Observed, view: StageView) -> datetime | None:
    """Since when nothing was heard of a stage whose pods run; None where none does."""
    if view.child is None or view.waiting is not None:
        return None
    pods = [pod for pod in seen.pods_of(view.child) if pod.phase == "Running" and not pod.beside]
    begun = [pod.begun_at for pod in pods if pod.begun_at is not None]
    if not begun:
        return None
    heard = [report.received_at for report in view.reports.values()]
    listening = seen.environment.listening_since
    # What was said before this operator listened, it cannot have heard.
    return max([*heard, min(begun), *([listening] if listening else [])])


def _left(seen: Observed, since: datetime, now: datetime) -> float:
    return (since + timedelta(seconds=seen.environment.stalled_seconds) - now).total_seconds()
