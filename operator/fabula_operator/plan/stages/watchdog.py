"""Whether a training run is well, from its reports: steps that stop, losses that are none, spikes, falling throughput.

Silence counts only while this operator listened: one that was just started has not missed anything yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fabula_api.base import duration_seconds
from fabula_api.fine_tune_blocks import Watchdog
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.status import ConditionStatus, FailureDigest
from fabula_api.worker import GRADIENT_NOT_FINITE, LOSS_NOT_FINITE
from fabula_operator.plan.seen.observed import Report
from fabula_operator.plan.times import duration_text, timestamp

SPIKE_LEAST = 0.5
"""A loss that is less than this above the usual one is no spike: near zero, factors mean little."""
FALLEN_SHARE = 0.5
"""Throughput below this share of the usual one has fallen."""

_NOT_FINITE = {"loss": LOSS_NOT_FINITE, "gradNorm": GRADIENT_NOT_FINITE}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a run."""

    reason: str
    message: str
    acts: bool = True
    """Whether the policy applies; throughput that falls is only told."""

    def digest(self, stage: str) -> FailureDigest:
        """The finding as the end of an attempt."""
        return FailureDigest(reason=self.reason, message=f"{self.message} (spec.watchdog)", stage=stage)


@dataclass(frozen=True, slots=True)
class Health:
    """What the watchdog sees of an attempt at work."""

    finding: Finding | None = None
    heard: bool = False
    """Whether this operator has had a report of the attempt."""
    look_again: float | None = None
    """Seconds until silence would be a stall."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One attempt at work."""

    report: Report | None
    """Its last report, if this operator had one."""
    last_step: int | None
    """Last step that is recorded of it."""
    step_seconds: float | None
    """Usual step time that is recorded, for an operator that has not heard enough reports itself."""
    listening_since: datetime | None
    """When this operator began to take reports."""
    steps: int | None = None
    """Steps in all, as far as they are recorded."""


def examine(watchdog: Watchdog, seen: Watched, now: datetime) -> Health:
    """How the attempt is. Pure; until silence is long enough the time changes nothing."""
    report = seen.report
    pulse = report.pulse if report else None
    heard = report is not None
    if pulse is not None and pulse.broken is not None:
        message = f"{pulse.broken} is not a finite number at step {pulse.step}"
        return Health(Finding(_NOT_FINITE[pulse.broken], message), heard)
    stalled, left = _silence(watchdog, seen, now)
    if stalled is not None:
        return Health(stalled, heard)
    if pulse is not None and pulse.loss is not None and (usual := pulse.usual_loss) is not None:
        limit = max(watchdog.loss_spike_factor * usual, usual + SPIKE_LEAST)
        if pulse.loss > limit:
            message = f"loss {pulse.loss:.4g} at step {pulse.step}, usual is {usual:.4g}"
            return Health(Finding("LossSpike", message), heard, left)
    usual_rate = pulse.usual_rate if pulse else None
    if pulse is not None and pulse.rate is not None and usual_rate and pulse.rate < FALLEN_SHARE * usual_rate:
        message = f"{pulse.rate:.4g} tokens/s/GPU at step {pulse.step}, usual are {usual_rate:.4g}"
        return Health(Finding("ThroughputFell", message, acts=False), heard, left)
    return Health(None, heard, left)


def _silence(watchdog: Watchdog, seen: Watched, now: datetime) -> tuple[Finding | None, float | None]:
    """(the stall, or None; seconds until there would be one, or None while that is not known)."""
    pulse = seen.report.pulse if seen.report else None
    body = seen.report.body if seen.report else None
    usual = (pulse.usual_seconds if pulse else None) or seen.step_seconds
    if usual is None or seen.last_step is None:
        return None, None
    # Before the first step a model is loaded, and after the last one it is written; neither has a usual time.
    done, steps = (body.done, body.total) if body else (seen.last_step, seen.steps)
    if steps is not None and done >= steps:
        return None, None
    begun = [time for time in (pulse.step_at if pulse else None, seen.listening_since) if time is not None]
    if not begun:
        return None, None
    since, step = max(begun), pulse.step if pulse else seen.last_step
    allowed = max(watchdog.stall_factor * usual, float(duration_seconds(watchdog.grace)))
    due = since + timedelta(seconds=allowed)
    if now < due:
        return None, (due - now).total_seconds()
    message = (
        f"no step after step {step} since {timestamp(since)}; a step usually takes {_seconds_text(usual)}, "
        f"and {duration_text(allowed)} are allowed"
    )
    return Finding("StepStalled", message), None


def healthy(status: FineTuneRunStatus, health: Health | None) -> tuple[ConditionStatus, str, str]:
    """(status, reason, message) of the condition Healthy of a run at work.

    No news leaves it as it was, so that a restart of the operator changes nothing.
    """
    former = next((condition for condition in status.conditions if condition.type == "Healthy"), None)
    if health is None or not status.attempts or status.attempts[-1].last_step is None:
        return "Unknown", "NoReport", ""
    if health.finding is not None:
        same = former is not None and former.status == "False" and former.reason == health.finding.reason
        # The first sentence stays, or each report of a spike would be a write.
        return "False", health.finding.reason, former.message if former and same else health.finding.message
    if not health.heard and former is not None and former.status != "Unknown":
        return former.status, former.reason, former.message
    return "True", "AsUsual", ""


def _seconds_text(seconds: float) -> str:
    return f"{seconds:.2g}s" if seconds < 10 else duration_text(seconds)
