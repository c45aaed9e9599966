"""The workers' last reports, in memory: losing them loses nothing, since results are in termination messages."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from datetime import datetime

from fabula_api.worker import SHARDS, ProgressBody, StageReport
from fabula_operator.plan.money.lending import Holding, Shard
from fabula_operator.plan.seen.observed import Report
from fabula_operator.plan.seen.pulse import beat

# Names that Hugging Face's KubeflowCallback logs, and ours for them.
FOREIGN_METRICS = {
    "loss": "loss",
    "train_loss": "loss",
    "eval_loss": "validationLoss",
    "grad_norm": "gradNorm",
    "learning_rate": "learningRate",
    "epoch": "epoch",
    "current_epoch": "epoch",
    "current_step": "step",
    "step": "step",
    "global_step": "step",
    "total_steps": "steps",
    "max_steps": "steps",
}
KEPT = SHARDS + 64
"""Reports of one run: those of the largest child, and the last of attempts before it."""
MOST = 2**53
"""Of steps; what is more than that, or no number, is none."""


class Reports:
    """Last report for each pod, by run, stage, arm, shard and attempt."""

    def __init__(self) -> None:
        self._reports: dict[str, dict[tuple[str, str | None, int, int], Report]] = {}
        self._granted: dict[str, dict[str, tuple[str | None, Mapping[int, float]]]] = {}
        self._lent: dict[Hashable, dict[Shard, Holding]] = {}
        self._answering_since: datetime | None = None

    def put(self, uid: str, body: StageReport, pod: str | None, now: datetime, *, trains: bool = False) -> None:
        """Remember a report; of a group of ranks, which `trains`, with its pulse.

        Beside it is kept the pod's last one with which it had made nothing yet, because two points give a rate: before
        that, its model was loaded.
        """
        run = self._reports.setdefault(uid, {})
        place = (body.stage, body.arm, body.shard, body.attempt)
        # A pod has one place. Where its labels are changed, what it told from the former one goes.
        if pod is not None and (moved := [at for at, report in run.items() if report.pod == pod and at != place]):
            del run[moved[0]]
        former = run.get(place)
        same_pod = former is not None and former.pod == pod and former.first_done <= body.done
        made = former is not None and same_pod and former.first_done < body.done
        first = (former.first_done, former.first_at) if former and made else (body.done, now)
        pulse = None
        if trains:
            pulse = beat(former.pulse if former and same_pod else None, body, now)
        # What is no number has no place in a status; the pulse remembers that it was there.
        metrics = {name: value for name, value in body.metrics.items() if math.isfinite(value)}
        body = body.replace(metrics=metrics)
        run.pop(place, None)
        run[place] = Report(body, now, first[0], first[1], pod, pulse)
        while len(run) > KEPT:
            del run[next(iter(run))]

    def of(self, uid: str) -> tuple[Report, ...]:
        """All reports of a run."""
        return tuple(self._reports.get(uid, {}).values())

    def last(self, uid: str, stage: str, attempt: int) -> StageReport | None:
        """The last report of an attempt's first pod."""
        report = self._reports.get(uid, {}).get((stage, None, 0, attempt))
        return report.body if report else None

    def granted(self, uid: str, stage: str, child: str | None = None) -> Mapping[int, float]:
        """Dollars that each shard of a stage's child was told that it may spend.

        For a new child, and after a restart of the operator, it is empty: a shard then counts as holding an equal part
        until it reports.
        """
        of, granted = self._granted.get(uid, {}).get(stage, (None, {}))
        return granted if of == child else {}

    def keep_granted(self, uid: str, stage: str, child: str | None, granted: Mapping[int, float]) -> None:
        """Remember them."""
        self._granted.setdefault(uid, {})[stage] = child, granted

    def lent(self, pool: Hashable) -> Mapping[Shard, Holding]:
        """What shards hold of a quota. After a restart it is empty until they report."""
        return self._lent.get(pool, {})

    def keep_lent(self, pool: Hashable, lent: Mapping[Shard, Holding]) -> None:
        """Remember it."""
        self._lent[pool] = dict(lent)

    def answering_since(self, now: datetime) -> datetime:
        """When this operator began to answer reports: `now`, if it is only beginning."""
        self._answering_since = self._answering_since or now
        return self._answering_since

    def forget(self, uid: str) -> None:
        """Drop the reports of a run that is finished or gone, and what its shards were granted."""
        self._reports.pop(uid, None)
        self._granted.pop(uid, None)
        for pool, lent in list(self._lent.items()):
            for shard in [shard for shard in lent if shard[0] == uid]:
                del lent[shard]
            if not lent:
                del self._lent[pool]


def foreign_report(
    body: ProgressBody, stage: str, attempt: int, former: StageReport | None = None
) -> StageReport | None:
    """The report of a trainer that speaks only KEP-2779: metrics by their usual names, values as text.

    `former` is its report before: the last one of a training does not name the steps any more. None where it only says
    that it begins: taken for step 0, that would make the steps before a resume those of the first minute.
    """
    status = body.trainer_status
    metrics: dict[str, float] = {}
    for metric in status.metrics:
        name = FOREIGN_METRICS.get(metric.name)
        try:
            value = float(metric.value)
        except ValueError:
            continue
        # `train_loss` is the mean over the whole training, so the last step's own loss comes first.
        if name is not None and not (metric.name == "train_loss" and "loss" in metrics):
            metrics[name] = value
    step, total = (_count(metrics.pop(name, None)) for name in ("step", "steps"))
    percent = None if status.progress_percentage is None else min(100, max(0, status.progress_percentage))
    if step is None and not percent and not metrics and former is None:
        return None
    total = total if total is not None else former.total if former else None
    if step is None and percent is not None:
        if total is None:
            total = 100
        step = max(total * percent // 100, former.done if former else 0)
    return StageReport(
        stage=stage,
        attempt=attempt,
        done=step if step is not None else former.done if former else 0,
        total=total,
        # Its estimate counts steps before a resume as done in this attempt, so the rate is taken from the reports.
        eta_seconds=None,
        metrics=metrics,
    )


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and 0 <= value <= MOST else None
