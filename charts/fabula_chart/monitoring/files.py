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
        for panel in row.panels:
            made = made.with_panel(_panel(panel))
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


def _panel(panel: Panel) -> Any:
    kinds: dict[str, Any] = {"lines": timeseries, "number": stat, "table": table}
    made = (
        (kinds[panel.shape].Panel().title(panel.title).description(panel.about).datasource(SOURCE).unit(panel.unit))
        .height(panel.height)
        .span(panel.width)
    )
    if panel.shape == "lines":
        legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
        made = made.legend(legend.show_legend(True)).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    for number, query in enumerate(panel.queries):
        made = made.with_target(_target(panel, query, chr(ord("A") + number)))
    return made


def _target(panel: Panel, query: Query, letter: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).ref_id(letter).datasource(SOURCE)
    if query.legend:
        made = made.legend_format(query.legend)
    if panel.shape == "lines":
        return made.range()
    made = made.instant()
    return made.format(PromQueryFormat.TABLE) if panel.shape == "table" else made


def rules_yaml() -> str:
    """The rule groups of the PrometheusRule, and of a rules file of Prometheus' own."""
    group = {"name": "fabula", "rules": [_rule(alert) for alert in ALERTS]}
    return yaml.safe_dump({"groups": [group]}, sort_keys=False, width=110)


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.means,
            "runbook_url": f"{RUNBOOKS}/{alert.page}",
        },
    }


def runbook(alert: Alert) -> str:
    """The page of one alert, of the release and namespace that the docs install."""
    parts = [
        f"# {alert.name}",
        "",
        f"Severity {alert.severity}; fires when this holds for {alert.wait}:",
        "",
        f"    {alert.expr}",
        "",
        "## What it means",
        "",
        alert.means,
        "",
        "## What to look at",
        "",
        *(f"* {line}" for line in alert.look),
        "",
        "## What to do",
        "",
        *(f"* {line}" for line in alert.do),
        "",
    ]
    return "\n".join(parts).replace(LEASE, "fabula-system/fabula")


def outputs(chart: str) -> dict[str, str]:
    """Path and content of each file."""
    index = ["# Runbooks", "", "One page an alert. Generated from `charts/fabula_chart/monitoring/alerts.py`.", ""]
    index += [f"* [{alert.name}]({alert.page}): {alert.means.split('. ')[0].rstrip('.')}." for alert in ALERTS]
    return {
        **{f"{chart}/files/dashboards/{board.uid}.json": board_json(board) for board in BOARDS},
        f"{chart}/files/alerts.yaml": rules_yaml(),
        **{f"docs/runbooks/{alert.page}": runbook(alert) for alert in ALERTS},
        "docs/runbooks/README.md": "\n".join([*index, ""]),
    }
