"""What operators tell of runs, as dashboards and alerts ask for it: each figure once."""

from __future__ import annotations

from fabula_operator.handlers.run_metrics import RUN
from fabula_operator.handlers.run_series import FAMILIES, RUNS, RUNS_LABELS

_LABELS = {RUNS: RUNS_LABELS, **{family.name: (*RUN, *family.labels) for family in FAMILIES if not family.counter}}


def told(name: str, *where: str) -> str:
    """A gauge of runs, where these labels match, without the labels of the operator that told it.

    When one operator takes over from another, Prometheus has what both told until the former's pod is gone from its
    targets. A sum would count each run twice meanwhile, a match of two figures would fail, and a line or an alert would
    begin anew.
    """
    series = f"{name}{{{','.join(where)}}}" if where else name
    return f"max by ({', '.join(_LABELS[name])}) ({series})"
