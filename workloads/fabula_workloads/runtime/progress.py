"""Progress to the status server, in the body of Kubeflow Trainer's protocol (KEP-2779) with our fields beside it.

Reporting never stops the work: posts go from a thread of their own, at most one every few seconds, and a lost one loses
nothing: it is made again with what there is to say by then. The reply brings what the run may spend next, and whether
it should stop.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from fabula_api.fine_tune_status import CheckpointStatus
from fabula_api.worker import (
    SERVER_CA_VARIABLE,
    SERVER_TOKEN_VARIABLE,
    SERVER_URL_VARIABLE,
    Allowance,
    ProgressBody,
    QuotaPart,
    StageCondition,
    StageReport,
    TrainerMetric,
    TrainerStatus,
    WorkerConfig,
)
from fabula_workloads.runtime import metrics as prometheus
from fabula_workloads.runtime import status_server

INTERVAL_VARIABLE = "FABULA_PROGRESS_SECONDS"
_TIMEOUT_SECONDS = 5
_log = logging.getLogger(__name__)

Post = Callable[[bytes], Allowance]
"""Sends one body and returns the reply. Raises OSError or ValueError when that did not work."""


class Rate:
    """Time left, from this run's own pace: what an earlier run finished tells nothing about how fast this one is, nor
    does the time in which a model was loaded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def seconds_left(self, done: int, total: int | None) -> int | None:
        """Whole seconds until `total`; None before this run did anything. The first call sets what was there, and the
        last that still says the same, when making began."""
        now = self._clock()
        if self._first is None or done == self._first[1]:
            self._first = (now, done)
        since, already = self._first
        if total is None or done <= already:
            return 0 if total is not None and done >= total else None
        return round((now - since) / (done - already) * max(total - done, 0))


class Reporter:
    """Holds the latest figures and posts them. The first `update` should name what an earlier run had finished."""

    def __init__(
        self,
        config: WorkerConfig,
        shard: int = 0,
        *,
        post: Post | None = None,
        interval_seconds: float | None = None,
        on_stop: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`post` None posts nowhere (no status server is configured). `on_stop` is called when a reply says stop.

        `clock` tells how old a reply is, and how fast items are made.
        """
        self._report = StageReport(stage=config.stage, arm=config.arm, shard=shard, attempt=config.attempt)
        self._post = post
        default = float(os.environ.get(INTERVAL_VARIABLE, "2"))
        self._interval = default if interval_seconds is None else interval_seconds
        self._on_stop = on_stop
        self._rate = Rate(clock)
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._clock = clock
        self._heard: tuple[Allowance, float] | None = None
        """The last reply, and when the report was sent that it answers."""
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    @classmethod
    def from_environment(
        cls, config: WorkerConfig, shard: int = 0, on_stop: Callable[[], None] | None = None
    ) -> Reporter:
        """A reporter to the status server that the pod's environment names; a silent one where it names none."""
        url = os.environ.get(SERVER_URL_VARIABLE)
        return cls(config, shard, post=http_post(url) if url else None, on_stop=on_stop)

    @property
    def allowance(self) -> Allowance:
        """What the last reply allows; without a reply, everything."""
        return self._heard[0] if self._heard else Allowance()

    @property
    def connected(self) -> bool:
        """Whether there is a status server to report to."""
        return self._post is not None

    def quota(self) -> QuotaPart | None:
        """What the shard holds of the provider's quota now; None when nothing was lent to it."""
        if self._heard is None or (lease := self._heard[0].lease) is None:
            return None
        return lease.part_after(self._clock() - self._heard[1])

    @property
    def heard(self) -> bool:
        """Whether a report was ever answered."""
        return self._heard is not None

    @property
    def report(self) -> StageReport:
        """The latest figures."""
        with self._lock:
            return self._report

    def update(
        self,
        *,
        done: int | None = None,
        total: int | None = None,
        failed: int | None = None,
        counts: Mapping[str, float] | None = None,
        metrics: Mapping[str, float] | None = None,
        checkpoint: CheckpointStatus | None = None,
    ) -> None:
        """Set the given figures and have them posted soon. `done` includes earlier runs' work. Cheap; never raises."""
        given = {
            "done": done,
            "total": total,
            "failed": failed,
            "counts": None if counts is None else dict(counts),
            "metrics": None if metrics is None else dict(metrics),
            "checkpoint": checkpoint,
        }
        with self._lock:
            report = self._report.replace(**{key: value for key, value in given.items() if value is not None})
            left = self._rate.seconds_left(report.done, report.total)
            self._report = report.replace(eta_seconds=left)
        prometheus.observe(self._report)
        self._changed.set()

    def tell(self, condition: StageCondition | None) -> None:
        """Say what keeps the stage from going on, or, with None, that nothing does any more."""
        with self._lock:
            self._report = self._report.replace(condition=condition)
        self._changed.set()

    def close(self) -> None:
        """Post the last figures and end the thread."""
        self._closing.set()
        self._changed.set()
        self._thread.join(_TIMEOUT_SECONDS * 2)

    def _run(self) -> None:
        while True:
            lease = self.allowance.lease
            # What is lent has to be asked for again even when there is no news.
            self._changed.wait(None if lease is None else max(0.0, lease.renew_seconds - self._interval))
            self._changed.clear()
            answered = self._send()
            if not answered and self.connected:
                # Nobody has it yet: with the next figures, or in a while without any.
                self._changed.set()
            lease = self.allowance.lease
            soon = lease is not None and answered and lease.renew_seconds < self._interval
            if self._closing.wait(lease.renew_seconds if lease is not None and soon else self._interval):
                if self._changed.is_set():
                    self._send()
                return

    def _send(self) -> bool:
        """Post the figures; whether that was answered."""
        if self._post is None:
            return False
        report = self.report.replace(quota=self.quota())
        body = ProgressBody(trainer_status=_trainer_status(report), fabula=report)
        sent_at = self._clock()
        try:
            self._heard = (self._post(body.model_dump_json(by_alias=True, exclude_none=True).encode()), sent_at)
        except Exception as error:
            prometheus.POSTS.labels("failed").inc()
            if not self._complained:
                self._complained = True
                _log.warning("progress cannot be posted (%s); the work goes on", _describe(error))
            return False
        prometheus.POSTS.labels("ok").inc()
        self._complained = False
        if self.allowance.stop and self._on_stop is not None:
            self._on_stop()
        return True


def http_post(url: str) -> Post:
    """Posts to the status server with the pod's token. Token and CA are read anew each time, since both rotate."""
    token_file, ca_file = os.environ.get(SERVER_TOKEN_VARIABLE), os.environ.get(SERVER_CA_VARIABLE)
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{SERVER_URL_VARIABLE} is no http(s) URL")

    def post(body: bytes) -> Allowance:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310
        if token_file:
            request.add_header("Authorization", f"Bearer {Path(token_file).read_text().strip()}")
        with status_server.answer(request, Path(ca_file) if ca_file else None, _TIMEOUT_SECONDS) as reply:
            content = reply.read()
        return Allowance.model_validate_json(content) if content.strip() else Allowance()

    return post


def _trainer_status(report: StageReport) -> TrainerStatus:
    percent = min(100, 100 * report.done // report.total) if report.total else None
    return TrainerStatus(
        progress_percentage=percent,
        estimated_remaining_seconds=report.eta_seconds,
        metrics=[TrainerMetric(name=name, value=f"{value:g}") for name, value in sorted(report.metrics.items())][:256],
        last_updated_time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _describe(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the status server answers {error.code}"
    if isinstance(error, ValidationError):
        return "the status server's answer cannot be read"
    return f"{type(error).__name__}: {error}"
