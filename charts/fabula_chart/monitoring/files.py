"""What dashboards and alerts become: Grafana's JSON, rule groups, and a runbook for each alert."""

from __future__ import annotations

import json
from typing import Any

import yaml
from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from fabula_chart.monitoring.alerts import ALERTS, LEASE, Alert
from fabula_chart.monitoring.engineer import ENGINEER
from fabula_chart.monitoring.operations import OPERATIONS
from fabula_chart.monitoring.panels import Board, Panel, Query

BOARDS: tuple[Board, ...] = (ENGINEER, OPERATIONS)
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
RUNBOOKS = "@RUNBOOKS@"
"""Stands for the address of the runbooks, which the chart's values tell."""


def board_json(board: Board) -> str:
    """A dashboard as Grafana imports it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["fabula"])
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("namespace", "Namespace", "label_values(fabula_runs, namespace)"))
        .with_variable(_choice("run", "Run", 'label_values(fabula_run_info{namespace=~"$namespace"}, name)'))
    )
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title))
        for one in row.panels:
            made = made.with_panel(_panel(one))
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(made.build())), indent=1, sort_keys=True) + "\n"


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .multi(True)
    )


def _panel(one: Panel) -> Any:
    kinds: dict[str, Any] = {"lines": timeseries, "number": stat, "table": table}
    made = (
        (kinds[one.shape].Panel().title(one.title).description(one.about).datasource(SOURCE).unit(one.unit))
        .height(one.height)
        .span(one.width)
    )
    if one.shape == "lines":
        legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
        made = made.legend(legend.show_legend(True)).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    for number, query in enumerate(one.queries):
        made = made.with_target(_target(one, query, chr(ord("A") + number)))
    return made


def _target(one: Panel, query: Query, letter: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).ref_id(letter).datasource(SOURCE)
    if query.legend:
        made = made.legend_format(query.legend)
    if one.shape == "lines":
        return made.range()
    made = made.instant()
    return made.format(PromQueryFormat.TABLE) if one.shape == "table" else made


def rules_yaml() -> str:
    """The rule groups of the PrometheusRule, and of a rules file of Prometheus' own."""
    group = {"name": "fabula", "rules": [_rule(one) for one in ALERTS]}
    return yaml.safe_dump({"groups": [group]}, sort_keys=False, width=110)


def _rule(one: Alert) -> dict[str, Any]:
    return {
        "alert": one.name,
        "expr": one.expr,
        "for": one.wait,
        "labels": {"severity": one.severity},
        "annotations": {
            "summary": one.summary,
            "description": one.means,
            "runbook_url": f"{RUNBOOKS}/{one.page}",
        },
    }


def runbook(one: Alert) -> str:
    """The page of one alert, of the release and namespace that the docs install."""
    parts = [
        f"# {one.name}",
        "",
        f"Severity {one.severity}; fires when this holds for {one.wait}:",
        "",
        f"    {one.expr}",
        "",
        "## What it means",
        "",
        one.means,
        "",
        "## What to look at",
        "",
        *(f"* {line}" for line in one.look),
        "",
        "## What to do",
        "",
        *(f"* {line}" for line in one.do),
        "",
    ]
    return "\n".join(parts).replace(LEASE, "fabula-system/fabula")


def outputs(chart: str) -> dict[str, str]:
    """Path and content of each file."""
    index = ["# Runbooks", "", "One page an alert. Generated from `charts/fabula_chart/monitoring/alerts.py`.", ""]
    index += [f"* [{one.name}]({one.page}): {one.means.split('. ')[0].rstrip('.')}." for one in ALERTS]
    return {
        **{f"{chart}/files/dashboards/{board.uid}.json": board_json(board) for board in BOARDS},
        f"{chart}/files/alerts.yaml": rules_yaml(),
        **{f"docs/runbooks/{one.page}": runbook(one) for one in ALERTS},
        "docs/runbooks/README.md": "\n".join([*index, ""]),
    }
