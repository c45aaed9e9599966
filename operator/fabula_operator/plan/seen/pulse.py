"""What a training run's reports tell over time: how long a step usually takes, what loss and throughput are usual."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from fabula_api.worker import StageReport

TELLING = ("loss", "gradNorm")
"""A run whose loss or gradient is no number learns nothing any more."""
KEPT = 32
ENOUGH = 5
"""Fewer figures than these are not called usual."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The newest step of one attempt, and the figures before it. Only reports change it, never the time of looking."""

    step: int
    step_at: datetime
    """When that step was first heard of."""
    seconds: tuple[float, ...] = ()
    """Seconds for each of the last steps, the newest last."""
    losses: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    """Tokens a second and GPU."""
    loss: float | None = None
    """The newest, which is not among the usual ones."""
    rate: float | None = None
    broken: str | None = None
    """Which of the telling metrics is NaN or infinite in the newest report."""

    @property
    def usual_seconds(self) -> float | None:
        """Seconds a step usually takes."""
        return _usual(self.seconds)

    @property
    def usual_loss(self) -> float | None:
        """The usual loss before the newest one."""
        return _usual(self.losses)

    @property
    def usual_rate(self) -> float | None:
        """The usual throughput before the newest one."""
        return _usual(self.rates)


def _usual(figures: tuple[float, ...]) -> float | None:
    return median(figures) if len(figures) >= ENOUGH else None


def beat(former: Pulse | None, body: StageReport, now: datetime) -> Pulse:
    """The pulse after a report; `former` is None for the first one of a pod."""
    broken = next((name for name in TELLING if not math.isfinite(body.metrics.get(name, 0.0))), None)
    if former is None or body.done < former.step:
        return _newest(Pulse(body.done, now, broken=broken), body)
    if body.done == former.step:
        return replace(former, broken=broken)
    pace = (now - former.step_at).total_seconds() / (body.done - former.step)
    return _newest(
        Pulse(
            body.done,
            now,
            (*former.seconds, pace)[-KEPT:],
            _with(former.losses, former.loss),
            _with(former.rates, former.rate),
            broken=broken,
        ),
        body,
    )


def _newest(pulse: Pulse, body: StageReport) -> Pulse:
    def finite(name: str) -> float | None:
        value = body.metrics.get(name)
        return value if value is not None and math.isfinite(value) else None

    return replace(pulse, loss=finite("loss"), rate=finite("tokensPerSecondPerGpu"))


def _with(figures: tuple[float, ...], newest: float | None) -> tuple[float, ...]:
    return (*figures, newest)[-KEPT:] if newest is not None else figures
