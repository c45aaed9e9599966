"""While one operator takes over from another, Prometheus has what both told of the runs: each is shown once."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

pytest.importorskip("grafana_foundation_sdk", reason="dashboards and alerts are generated with the lint extra")
from tests.support.prometheus import Expected, needs_promtool, promtool

from fabula_chart.metric_names import OPERATOR, metrics
from fabula_chart.monitoring.files import BOARDS
from fabula_chart.monitoring.panels import Panel, Query

CHOICE = 'namespace=~"$namespace"'
PANELS = [
    (one, query)
    for board in BOARDS for row in board.rows for one in row.panels
    for query in one.queries if CHOICE in query.expr
]  # fmt: skip
OPERATORS = ("former", "next")
VALUES = {"kind": ("DatasetBuild",), "state": ("Running", "Pending", "Failed"), "share": ("wasted",),
          "outcome": ("done", "paid")}  # fmt: skip
"""What panels ask for; of other labels any value does."""


def series() -> dict[str, str]:
    """Every series about one run, told by two operators."""
    found = {}
    for first, metric in enumerate((one for one in metrics(OPERATOR) if "namespace" in one.labels), 3):
        for values in itertools.product(OPERATORS, *(VALUES.get(label, ("x",)) for label in metric.labels)):
            labels = [f'{name}="{value}"' for name, value in zip(("instance", *metric.labels), values, strict=True)]
            found[f"{metric.name}{{{','.join(labels)}}}"] = f"{first}+60x30"
    return found


def everything(query: Query) -> str:
    """As Grafana asks where everything is chosen."""
    return re.sub(r"\$\w+", ".*", query.expr)


def expected(panel: Panel, query: Query) -> Expected:
    """A number is what one operator alone tells; of lines and rows none is there twice."""
    asked = everything(query)
    if panel.shape == "number":
        alone = asked.replace("{", '{instance="former",')
        return Expected(f"({asked}) - ({alone})", "10m", {"{}": 0})
    named = ["kind", "namespace", "name", "state", "reason"] if panel.shape == "table" else re.findall(
        r"{{(\w+)}}", query.legend
    )  # fmt: skip
    return Expected(f"count by ({', '.join(named)}) ({asked}) > 1", "10m", {})


@needs_promtool
def test_what_two_operators_tell_is_shown_once(tmp_path: Path) -> None:
    assert len(PANELS) > 30
    promtool(tmp_path, None, [(series(), [expected(*one) for one in PANELS])])


@needs_promtool
def test_all_that_is_asked_of_runs_is_there(tmp_path: Path) -> None:
    """Else the test above would find nothing twice where nothing is."""
    there = [Expected(f"count(({everything(query)}) != 0) > bool 0", "10m", {"{}": 1}) for _, query in PANELS]
    promtool(tmp_path, None, [(series(), there)])
