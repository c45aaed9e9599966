"""A real Prometheus for a test: it scrapes what it is told to, judges rules, and answers queries."""

from __future__ import annotations

import asyncio
import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import pytest
import yaml
from tests.support.operator_process import free_ports
from tests.support.patience import SECONDS, eventually, until

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not here: install Debian's package prometheus"
)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: install Debian's package prometheus"
)
INTERVAL = "500ms"
RULES = Path(__file__).parents[2] / "charts" / "fabula" / "files" / "alerts.yaml"
MONITORS = Path(__file__).parents[1] / "unit" / "chart" / "golden" / "monitors.yaml"


class Prometheus:
    """`with Prometheus(folder, rules) as prometheus: prometheus.scrape(operator.metrics_port)`."""

    def __init__(self, folder: Path, rules: str | None = None) -> None:
        """`rules` is the text of a rules file."""
        self._folder = folder
        self._targets = folder / "targets.json"
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.began = time.time()
        folder.mkdir(parents=True, exist_ok=True)
        self.scrape()
        config: dict[str, Any] = {
            "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
            "scrape_configs": [
                {
                    # What Prometheus' operator makes of the chart's ServiceMonitor: it names a job by its Service.
                    "job_name": "fabula-metrics",
                    "honor_labels": _endpoint().get("honorLabels", False),
                    "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "1s"}],
                }
            ],
        }
        if rules is not None:
            (folder / "rules.yaml").write_text(rules)
            config["rule_files"] = ["rules.yaml"]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))

    def scrape(self, *ports: int) -> None:
        """From now on scrape these ports of this machine, and no others."""
        fresh = self._targets.with_suffix(".new")
        groups = [{"targets": [f"127.0.0.1:{port}"], "labels": _labels(f"fabula-{port}")} for port in ports]
        fresh.write_text(json.dumps(groups))
        fresh.replace(self._targets)

    def __enter__(self) -> Prometheus:
        log = self._folder / "log"
        command = [
            "prometheus", f"--config.file={self._folder / 'prometheus.yaml'}", "--log.level=warn",
            f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self._port}",
        ]  # fmt: skip
        with log.open("ab") as output:
            self._process = process = subprocess.Popen(command, stdout=output, stderr=output)

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return self._get("/-/ready").status_code == 200
            except httpx2.HTTPError:
                return False

        until(ready, "Prometheus to be ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SECONDS)

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        alerts = self._data("/api/v1/alerts")["alerts"]
        return {str(alert["labels"]["alertname"]) for alert in alerts if alert["state"] == "firing"}

    def judged(self, since: float) -> bool:
        """Whether all rules have been judged anew since then."""
        groups = self._data("/api/v1/rules")["groups"]
        return all(datetime.fromisoformat(group["lastEvaluation"]).timestamp() > since for group in groups)

    def failures(self) -> float:
        """How often a rule could not be judged, since Prometheus began."""
        text = self._get("/metrics").text
        counted = re.findall(r"^prometheus_rule_evaluation_failures_total{.*} (.*)$", text, re.MULTILINE)
        assert counted, "Prometheus has no rules"
        return sum(map(float, counted))

    def now(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query that have a number for a value."""
        series = self._data("/api/v1/query", query=query)["result"]
        return [point for point in series if _is_number(point["value"])]

    def since(self, start: float, query: str) -> list[dict[str, Any]]:
        """The series of a query over all of the time since `start` that have a number for a value at any time."""
        end = time.time()
        step = max(0.5, (end - start) / 1000)
        answer = self._data("/api/v1/query_range", query=query, start=str(start), end=str(end), step=str(step))
        return [series for series in answer["result"] if any(map(_is_number, series["values"]))]

    def _data(self, path: str, **params: str) -> dict[str, Any]:
        answer = self._get(path, **params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def _get(self, path: str, **params: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self._port}{path}", params=params, trust_env=False, timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a query must bring after a while: values by their labels, as promtool writes them."""

    query: str
    after: str
    samples: Mapping[str, float]


def promtool(folder: Path, rules: str | None, tests: Iterable[tuple[Mapping[str, str], Sequence[Expected]]]) -> None:
    """Have promtool hold queries to series, of which values are given a minute; fails with what it objects to."""
    if rules is not None:
        (folder / "rules.yaml").write_text(rules)
    suite = {
        "rule_files": [] if rules is None else ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": query.query,
                        "eval_time": query.after,
                        "exp_samples": [{"labels": labels, "value": value} for labels, value in query.samples.items()],
                    }
                    for query in expected
                ],
            }
            for series, expected in tests
        ],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(suite))
    done = subprocess.run(
        ["promtool", "test", "rules", str(folder / "tests.yaml")],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def lint(metrics: str) -> str:
    """What promtool objects to in the text of /metrics, by Prometheus' conventions."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    return done.stdout + done.stderr


def of_release(rules: str, lease: str) -> str:
    """The rules as the chart renders them for a release with this Lease, `namespace/name`."""
    return rules.replace("@LEASE@", lease)


def hasty(rules: str, *patient: str) -> str:
    """The rules with nothing changed but that none waits before it fires, apart from the `patient` ones."""
    groups = yaml.safe_load(rules)
    for rule in (rule for group in groups["groups"] for rule in group["rules"]):
        if rule["alert"] not in patient:
            rule["for"] = "0s"
    return str(yaml.safe_dump(groups))


def _endpoint() -> dict[str, Any]:
    """How the chart's ServiceMonitor has the operator scraped."""
    manifests = yaml.safe_load_all(MONITORS.read_text())
    (monitor,) = (manifest for manifest in manifests if manifest["kind"] == "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    return dict(endpoint)


def _labels(pod: str) -> dict[str, str]:
    """What Prometheus' operator tells of a pod that a ServiceMonitor selects."""
    return {
        "namespace": "fabula-system", "service": "fabula-metrics", "endpoint": "metrics", "pod": pod,
        "container": "operator",
    }  # fmt: skip


async def scraped(prometheus: Prometheus, query: str) -> None:
    """Wait until Prometheus has it, and has judged its rules since."""

    async def there() -> bool:
        return bool(await asyncio.to_thread(prometheus.now, query))

    await eventually(there, f"a scrape that brings {query}")
    at = time.time()

    async def judged() -> bool:
        return await asyncio.to_thread(prometheus.judged, at)

    await eventually(judged, "rules that are judged with it")


def _is_number(sample: list[Any]) -> bool:
    return math.isfinite(float(sample[1]))
