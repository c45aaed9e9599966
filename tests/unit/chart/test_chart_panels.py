"""Panels and alerts ask for series that the code gives, with labels that they have."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("grafana_foundation_sdk", reason="dashboards and alerts are generated with the lint extra")
from fabula_chart.metric_names import OPERATOR, WORKERS, metrics
from fabula_chart.monitoring.alerts import ALERTS
from fabula_chart.monitoring.files import BOARDS

ASKED = {
    **{f"{board.title}: {one.title} {number}": query.expr
       for board in BOARDS for row in board.rows for one in row.panels if not one.foreign
       for number, query in enumerate(one.queries)},
    **{alert.name: alert.expr for alert in ALERTS},
}  # fmt: skip
SERIES = re.compile(r"\b(fabula_[a-z_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")


@pytest.fixture(scope="module")
def given() -> dict[str, set[str]]:
    """Labels by series."""
    return {name: set(one.labels) for folder in (OPERATOR, WORKERS) for one in metrics(folder) for name in one.series}


@pytest.mark.parametrize("title", ASKED)
def test_it_asks_for_what_there_is(title: str, given: dict[str, set[str]]) -> None:
    found = SERIES.findall(ASKED[title])
    for name, labels in found:
        assert name in given, name
        assert set(LABEL.findall(labels)) <= given[name], (name, labels)
    assert found or "process_" in ASKED[title]


def test_every_metric_has_a_name_of_its_own() -> None:
    names = [one.name for folder in (OPERATOR, WORKERS) for one in metrics(folder)]
    assert len(names) == len(set(names))
