"""What Prometheus scrapes from the operator: its own work, and the state of the runs it looks after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from fabula_kube.work_queue import WorkQueue
from fabula_operator.handlers.run_series import RunSeries
from fabula_operator.kube.cache import Key
from fabula_operator.kube.client import Write
from fabula_operator.kube.resources import JOB, POD, RUNS, Request

WATCHED = (*RUNS, JOB.kind, POD.kind)
"""Kinds that every cluster has; PyTorchJobs are told of once there are any."""


class Metrics:
    """Counters and gauges of one operator process; also a WriteGate that counts writes."""

    def __init__(self, queue: WorkQueue[Key], runs: RunSeries) -> None:
        self._runs = runs
        self.registry = CollectorRegistry()
        self._looks = Counter(
            "fabula_reconciles", "Looks at runs, by result.", ["kind", "result"], registry=self.registry
        )
        self._seconds = Histogram(
            "fabula_reconcile_seconds",
            "Duration of one look at a run, by result.",
            ["kind", "result"],
            buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self._writes = Counter(
            "fabula_api_writes", "Writes to the Kubernetes API.", ["verb", "resource"], registry=self.registry
        )
        self._reports = Counter(
            "fabula_status_reports", "Workers' reports, by answer.", ["code"], registry=self.registry
        )
        self._requests = Counter(
            "fabula_api_requests",
            "Answers of the Kubernetes API, watches left out; code 0 where none came.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self._events = Counter("fabula_watch_events", "Changes told by a watch.", ["kind"], registry=self.registry)
        self._heard = Gauge(
            "fabula_watch_last_event_timestamp_seconds", "When a watch last told a change.", ["kind"],
            registry=self.registry,
        )  # fmt: skip
        self._missed = Counter(
            "fabula_watch_missed",
            "Changes that a periodic list told before a watch did.",
            ["kind"],
            registry=self.registry,
        )
        # A counter that is not there yet cannot be told from one that nobody asks for.
        for kind in WATCHED:
            self._events.labels(kind)
            self._missed.labels(kind)
        build = Gauge("fabula_build_info", "What runs.", ["version"], registry=self.registry)
        build.labels(version("fabula")).set(1)
        self._leader = Gauge(
            "fabula_leader", "1 while this operator holds the lease.", ["lease"], registry=self.registry
        )
        depth = Gauge("fabula_work_queue_depth", "Runs due for a look.", registry=self.registry)
        depth.set_function(lambda: float(len(queue)))
        oldest = Gauge(
            "fabula_work_queue_oldest_seconds", "How long the run that has waited longest is due for a look.",
            registry=self.registry,
        )  # fmt: skip
        oldest.set_function(queue.oldest_seconds)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    async def text(self) -> bytes:
        """What a scrape is answered."""
        return generate_latest(self.registry) + (await self._runs.text()).encode()

    def leads(self, lease: str, now: Callable[[], bool]) -> None:
        """Show whether this operator holds the lease, `namespace/name`: several installations are told apart by it."""
        self._leader.labels(lease).set_function(lambda: float(now()))

    def serves(self, ends: Callable[[], datetime]) -> None:
        """Show when the certificate ends. Without one there is no series: 0 would be one that ended in 1970."""
        expiry = Gauge(
            "fabula_certificate_expiry_timestamp_seconds",
            "End of the status server's certificate.",
            registry=self.registry,
        )
        expiry.set_function(lambda: ends().timestamp())

    def reconciled(self, key: Key, seconds: float, error: str | None) -> None:
        """Count one look."""
        self._looks.labels(key.kind, error or "ok").inc()
        self._seconds.labels(key.kind, error or "ok").observe(seconds)

    def reported(self, code: int) -> None:
        """Count one report."""
        self._reports.labels(str(code)).inc()

    def requested(self, request: Request, code: int) -> None:
        """Count one answer."""
        self._requests.labels(request.verb, request.resource, str(code)).inc()

    def heard(self, kind: str) -> None:
        """Count one change that a watch told."""
        self._events.labels(kind).inc()
        self._heard.labels(kind).set_to_current_time()

    def missed(self, kind: str) -> None:
        """Count one change that a list told first."""
        self._missed.labels(kind).inc()

    async def before(self, write: Write) -> None:
        return None

    async def after(self, write: Write) -> None:
        self._writes.labels(write.verb, write.resource).inc()
