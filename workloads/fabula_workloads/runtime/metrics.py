"""A worker's Prometheus metrics, served where FABULA_METRICS_PORT says so."""

from __future__ import annotations

import os

from prometheus_client import Counter, Gauge, start_http_server

from fabula_api.worker import METRICS_PORT_VARIABLE, StageReport
from fabula_workloads.runtime.failures import ConfigInvalid, TryAgain

_LABELS = ("stage", "arm")
DONE = Gauge("fabula_stage_items_done", "Items or steps done, those of earlier runs included.", _LABELS)
TOTAL = Gauge("fabula_stage_items_total", "Items or steps in all.", _LABELS)
FAILED = Gauge("fabula_stage_items_failed", "Items that failed for good.", _LABELS)
FIGURE = Gauge("fabula_stage_figure", "Latest figures of the stage, such as loss.", (*_LABELS, "name"))
POSTS = Counter("fabula_progress_posts", "Reports to the status server.", ("outcome",))


def serve() -> None:
    """Serve the metrics on the port that the environment names; do nothing when it names none."""
    if not (port := os.environ.get(METRICS_PORT_VARIABLE)):
        return
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigInvalid(f"{METRICS_PORT_VARIABLE} is {port!r}, which is no port")
    try:
        start_http_server(int(port))
    except OSError as error:
        raise TryAgain(f"metrics cannot be served on port {port}: {error.strerror}", "PortTaken") from error


def observe(report: StageReport) -> None:
    """Take over the figures of a report."""
    labels = (report.stage, report.arm or "")
    DONE.labels(*labels).set(report.done)
    FAILED.labels(*labels).set(report.failed)
    if report.total is not None:
        TOTAL.labels(*labels).set(report.total)
    for name, value in report.metrics.items():
        FIGURE.labels(*labels, name).set(value)
