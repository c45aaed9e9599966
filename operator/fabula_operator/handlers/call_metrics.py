"""What Prometheus is told of calls to providers while they are made: read from the last reports of a run's pods.

They are of no use once the run is over, and so stand in no status. A shard that starts anew counts from 0 again.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fabula_api.counts import CallCounts
from fabula_api.worker import StageReport

Series = Iterator[tuple[tuple[str, ...], float]]
"""Values of further labels, and the figure."""


@dataclass(frozen=True, slots=True)
class CallMetric:
    """One family of series about the calls of runs."""

    name: str
    about: str
    read: Callable[[Sequence[StageReport]], Series]
    """From the last reports of a run's pods."""
    labels: tuple[str, ...] = ("stage",)
    """Labels beside kind, namespace and name."""
    counter: bool = True


def _sum(figure: Callable[[CallCounts], float]) -> Callable[[Sequence[StageReport]], Series]:
    """A figure that adds up over the shards of each stage that calls a provider."""

    def read(reports: Sequence[StageReport]) -> Series:
        sums: Tally[str] = Tally()
        for report in reports:
            calls = CallCounts.of(report.counts)
            if report.quota is not None or calls != CallCounts():
                sums[report.stage] += figure(calls)  # type: ignore[assignment]
        for stage, value in sums.items():
            yield (stage,), value

    return read


def _share(reports: Sequence[StageReport]) -> Series:
    sums: dict[str, float] = {}
    for report in reports:
        if report.quota is not None:
            sums[report.stage] = sums.get(report.stage, 0) + report.quota.share
    for stage, value in sums.items():
        yield (stage,), value


CALL_METRICS: tuple[CallMetric, ...] = (
    CallMetric(
        "fabula_provider_throttles", "Times that a provider turned a call away.", _sum(lambda calls: calls.throttled)
    ),
    CallMetric(
        "fabula_provider_wait_seconds", "Seconds that calls took until their answer.", _sum(lambda calls: calls.seconds)
    ),
    CallMetric(
        "fabula_provider_quota_share", "Part of a provider's quota that a run holds, of 1.", _share, counter=False
    ),
)
