"""What Prometheus scrapes from the operator: its own work, and the state of the runs it looks after."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Write
from fabula_operator.kube.resources import Obj


class Metrics:
    """Counters and gauges of one operator process; also a WriteGate that counts writes."""

    def __init__(self, cache: Cache, queue_depth: Callable[[], int], registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._looks = Counter(
            "fabula_reconciles", "Looks at runs, by result.", ["kind", "result"], registry=self.registry
        )
        self._seconds = Histogram(
            "fabula_reconcile_seconds",
            "Duration of one look at a run.",
            ["kind"],
            buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self._writes = Counter(
            "fabula_api_writes", "Writes to the Kubernetes API.", ["verb", "resource"], registry=self.registry
        )
        self._reports = Counter(
            "fabula_status_reports", "Workers' reports, by answer.", ["code"], registry=self.registry
        )
        self.leader = Gauge("fabula_leader", "1 while this operator holds the lease.", registry=self.registry)
        depth = Gauge("fabula_work_queue_depth", "Runs due for a look.", registry=self.registry)
        depth.set_function(lambda: float(queue_depth()))
        self.registry.register(_RunCollector(cache))

    def reconciled(self, key: Key, seconds: float, error: str | None) -> None:
        """Count one look."""
        self._looks.labels(key.kind, error or "ok").inc()
        self._seconds.labels(key.kind).observe(seconds)

    def reported(self, code: int) -> None:
        """Count one report."""
        self._reports.labels(str(code)).inc()

    async def before(self, write: Write) -> None:
        return None

    async def after(self, write: Write) -> None:
        self._writes.labels(write.verb, write.resource).inc()


class _RunCollector(Collector):
    """Reads the runs' figures from the cache at each scrape, so that none is left behind when a run is deleted."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        names = ["namespace", "name"]
        runs = GaugeMetricFamily("fabula_runs", "Runs by kind and state.", labels=["kind", "state"])
        progress = GaugeMetricFamily("fabula_run_progress_percent", "Progress.", labels=["kind", *names])
        items = GaugeMetricFamily(
            "fabula_stage_items", "Items of a stage, by outcome.", labels=["kind", *names, "stage", "outcome"]
        )
        training = {
            field: GaugeMetricFamily(f"fabula_training_{metric}", text, labels=names)
            for field, (metric, text) in _TRAINING.items()
        }
        hours = GaugeMetricFamily("fabula_training_gpu_hours", "GPU hours.", labels=[*names, "share"])
        scores = GaugeMetricFamily("fabula_eval_metric", "Mean of a metric.", labels=[*names, "arm", "metric"])
        gates = GaugeMetricFamily("fabula_eval_gates_passed", "1 if all gates are kept.", labels=names)
        states: Tally[tuple[str, str]] = Tally()
        for obj in self._cache.runs():
            meta, status = obj["metadata"], obj.get("status") or {}
            name = [meta["namespace"], meta["name"]]
            states[obj["kind"], status.get("state") or "Pending"] += 1
            percent = (status.get("progress") or {}).get("percent")
            if percent is not None:
                progress.add_metric([obj["kind"], *name], percent)
            for stage in status.get("stages") or ():
                for outcome in ("done", "failed"):
                    if stage.get(outcome) is not None:
                        items.add_metric([obj["kind"], *name, stage["name"], outcome], stage[outcome])
            for field, family in training.items():
                value = (status.get("metrics") or {}).get(field)
                if value is not None:
                    family.add_metric(name, value)
            for share, value in (status.get("gpuHours") or {}).items():
                hours.add_metric([*name, share], value)
            _score(obj, name, scores, gates)
        for (kind, state), count in states.items():
            runs.add_metric([kind, state], count)
        return [runs, progress, items, *training.values(), hours, scores, gates]


_TRAINING = {
    "loss": ("loss", "Training loss."),
    "validationLoss": ("validation_loss", "Loss on the validation split."),
    "gradNorm": ("grad_norm", "Gradient norm before clipping."),
    "learningRate": ("learning_rate", "Learning rate."),
    "tokensPerSecondPerGpu": ("tokens_per_second_per_gpu", "Tokens a second and GPU (or rank)."),
    "mfu": ("mfu", "Model FLOPs utilisation."),
    "step": ("step", "Optimizer steps done."),
}


def _score(obj: Obj, name: list[str], scores: GaugeMetricFamily, gates: GaugeMetricFamily) -> None:
    status = obj.get("status") or {}
    for arm in status.get("arms") or ():
        for metric in arm.get("metrics") or ():
            if metric.get("mean") is not None:
                scores.add_metric([*name, arm["name"], metric["name"]], metric["mean"])
    for condition in status.get("conditions") or ():
        if condition.get("type") == "GatesPassed" and condition.get("status") in ("True", "False"):
            gates.add_metric(name, 1.0 if condition["status"] == "True" else 0.0)
