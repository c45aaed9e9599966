"""The series about runs in Prometheus' text format, written anew only for runs that have changed.

Ten thousand runs have some hundred thousand series. To make them all at each scrape, as collectors do, takes seconds,
and nothing else happens meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.utils import floatToGoString

from fabula_operator.handlers.call_metrics import CALL_METRICS, CallMetric
from fabula_operator.handlers.run_metrics import RUN, RUN_METRICS, RunMetric
from fabula_operator.kube.cache import Key
from fabula_operator.kube.packed import Packed
from fabula_operator.plan.seen.observed import Report

AT_ONCE = 100
"""Runs that are written without a pause for others."""
FAMILIES: tuple[RunMetric | CallMetric, ...] = (*RUN_METRICS, *CALL_METRICS)
RUNS, RUNS_ABOUT, RUNS_LABELS = "fabula_runs", "Runs by kind and state.", ("kind", "namespace", "state")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Line = tuple[int, str]
"""A family by its place in the list, and what comes behind the labels that name the run."""


def no_reports(_: str) -> tuple[Report, ...]:
    """Of runs without pods."""
    return ()


class RunSeries:
    """Writes all series about runs."""

    def __init__(
        self,
        runs: Callable[[], Iterable[tuple[Key, Packed]]],
        reports: Callable[[str], tuple[Report, ...]] = no_reports,
    ) -> None:
        """`reports` are the last ones of a run's pods, by its uid."""
        self._runs, self._reports = runs, reports
        self._written: dict[Key, tuple[Packed, tuple[Line, ...]]] = {}

    async def text(self) -> str:
        """All families; one without a figure has no series."""
        families: list[list[str]] = [[] for _ in FAMILIES]
        counts: Tally[tuple[str, str, str]] = Tally()
        written: dict[Key, tuple[Packed, tuple[Line, ...]]] = {}
        for number, (key, run) in enumerate(list(self._runs()), 1):
            known = self._written.get(key)
            if known is None or known[0] is not run:
                known = run, tuple(_lines(run))
            written[key] = known
            counts[key.kind, key.namespace, run.state or "Pending"] += 1
            labels = _labels(RUN, key)
            for family, rest in (*known[1], *self._calls(run.uid)):
                families[family].append(f"{_series(FAMILIES[family])}{{{labels}{rest}")
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._written = written
        runs = [f"{RUNS}{{{_labels(RUNS_LABELS, labels)}}} {_number(count)}\n" for labels, count in counts.items()]
        page = [_head(RUNS, RUNS_ABOUT, counter=False), *runs]
        for series, lines in zip(FAMILIES, families, strict=True):
            page += (_head(_series(series), series.about, counter=series.counter), *lines)
        return "".join(page)

    def _calls(self, uid: str) -> Iterator[Line]:
        if reports := [report.body for report in self._reports(uid)]:
            for number, call in enumerate(CALL_METRICS, len(RUN_METRICS)):
                for values, figure in call.read(reports):
                    yield number, _rest(call, values, figure)


def _lines(run: Packed) -> Iterator[Line]:
    """What a run's status says. Most runs say the same in most lines, so these are kept once for all."""
    obj = run.read()
    status = obj.get("status") or {}
    for number, metric in enumerate(RUN_METRICS):
        for values, figure in metric.read(status, obj):
            yield number, sys.intern(_rest(metric, values, figure))


def _rest(family: RunMetric | CallMetric, values: Iterable[str], figure: float) -> str:
    further = _labels(family.labels, values)
    return f"{',' if further else ''}{further}}} {_number(figure)}\n"


def _number(figure: float) -> str:
    return str(floatToGoString(figure))  # type: ignore[no-untyped-call]


def _labels(names: Iterable[str], values: Iterable[str]) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))


def _series(family: RunMetric | CallMetric) -> str:
    return f"{family.name}_total" if family.counter else family.name


def _head(name: str, about: str, *, counter: bool) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} {'counter' if counter else 'gauge'}\n"
