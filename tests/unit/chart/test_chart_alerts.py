"""The alerts, tried by Prometheus' own promtool: each fires on what it is for, and none on a run in peace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("grafana_foundation_sdk", reason="dashboards and alerts are generated with the lint extra")
from tests.support.prometheus import Expected, needs_promtool, of_release, promtool

from fabula_chart.monitoring.alerts import ALERTS
from fabula_chart.monitoring.files import rules_yaml

OURS = "fabula-system/fabula"
RUN = 'namespace="team",name="tune"'
TUNE = f'kind="FineTuneRun",{RUN}'
BUILD = f'kind="DatasetBuild",{RUN}'


def leader(pod: str, lease: str = OURS) -> str:
    """The series in which an operator says whether it leads."""
    return f'fabula_leader{{lease="{lease}",pod="{pod}"}}'


@dataclass(frozen=True)
class Case:
    """What Prometheus has seen, and what it must say after a while."""

    series: dict[str, str]
    after: str
    fires: bool


# Values are given a minute: 0x30 is a figure that stays for thirty, 0+60x30 one that grows by sixty.
CASES: dict[str, tuple[Case, ...]] = {
    "FabulaRunStalled": (
        Case({f"fabula_run_stalled{{{TUNE}}}": "1x30"}, "15m", True),
        Case({f"fabula_run_stalled{{{TUNE}}}": "0x30"}, "15m", False),
        Case({f"fabula_run_stalled{{{TUNE}}}": "1x5 0x25"}, "15m", False),
    ),
    "FabulaTrainingUnhealthy": (
        Case({f'fabula_training_unhealthy{{{TUNE},reason="LossNotFinite"}}': "1x30"}, "10m", True),
        Case({f'fabula_training_unhealthy{{{TUNE},reason="Healthy"}}': "0x30"}, "10m", False),
    ),
    "FabulaRetriesSpent": (
        Case(
            {
                f'fabula_run_info{{{TUNE},state="Failed",reason="Crashed"}}': "1x10",
                f"fabula_training_attempts{{{TUNE}}}": "3x10",
            },
            "5m",
            True,
        ),
        Case(
            {
                f'fabula_run_info{{{TUNE},state="Failed",reason="InvalidSpec"}}': "1x10",
                f"fabula_training_attempts{{{TUNE}}}": "0x10",
            },
            "5m",
            False,
        ),
    ),
    "FabulaCheckpointTooOld": (
        Case({f"fabula_training_unsaved_timestamp_seconds{{{TUNE}}}": "0x240"}, "150m", True),
        Case({f"fabula_training_unsaved_timestamp_seconds{{{TUNE}}}": "0+60x240"}, "150m", False),
        Case({f"fabula_training_unsaved_timestamp_seconds{{{TUNE}}}": "0x125 stale"}, "150m", False),
    ),
    "FabulaQuotaThrottled": (
        Case({f'fabula_provider_throttles_total{{{BUILD},stage="extract"}}': "0+1x60"}, "45m", True),
        Case({f'fabula_provider_throttles_total{{{BUILD},stage="extract"}}': "0x10 5x50"}, "45m", False),
    ),
    "FabulaProviderCallsLost": (
        Case(
            {
                f'fabula_provider_calls_total{{{BUILD},stage="extract",outcome="paid"}}': "0+100x60",
                f'fabula_provider_calls_total{{{BUILD},stage="extract",outcome="lost"}}': "0+20x60",
            },
            "45m",
            True,
        ),
        Case(
            {
                f'fabula_provider_calls_total{{{BUILD},stage="extract",outcome="paid"}}': "0+100x60",
                f'fabula_provider_calls_total{{{BUILD},stage="extract",outcome="lost"}}': "0+1x60",
            },
            "45m",
            False,
        ),
    ),
    "FabulaBudgetNearlySpent": (
        Case(
            {
                f'fabula_run_info{{{BUILD},state="Running",reason=""}}': "1x10",
                f"fabula_run_cost_usd{{{BUILD}}}": "19x10",
                f"fabula_run_budget_usd{{{BUILD}}}": "20x10",
            },
            "5m",
            True,
        ),
        Case(
            {
                f'fabula_run_info{{{BUILD},state="Running",reason=""}}': "1x10",
                f"fabula_run_cost_usd{{{BUILD}}}": "10x10",
                f"fabula_run_budget_usd{{{BUILD}}}": "20x10",
            },
            "5m",
            False,
        ),
    ),
    "FabulaOperatorWithoutLeader": (
        Case({leader("a"): "0x10", leader("b"): "0x10"}, "5m", True),
        Case({"unrelated": "1x10"}, "5m", True),
        Case({leader("a"): "1x10", leader("b"): "0x10"}, "5m", False),
        # Another release leads its own runs only.
        Case({leader("a"): "0x10", leader("c", "team/fabula"): "1x10"}, "5m", True),
        Case({leader("c", "team/fabula"): "1x10"}, "5m", True),
    ),
    "FabulaWatchFrozen": (
        Case(
            {
                'fabula_watch_missed_total{kind="Pod"}': "0+4x60",
                'fabula_watch_events_total{kind="Pod"}': "7x60",
            },
            "45m",
            True,
        ),
        Case(
            {
                'fabula_watch_missed_total{kind="Pod"}': "0+4x60",
                'fabula_watch_events_total{kind="Pod"}': "0+400x60",
            },
            "45m",
            False,
        ),
        Case({'fabula_watch_missed_total{kind="Pod"}': "0+4x60"}, "45m", True),
        # The watch of the one that waits for the lease is well.
        Case(
            {
                'fabula_watch_missed_total{instance="leads",kind="Pod"}': "0+4x60",
                'fabula_watch_events_total{instance="leads",kind="Pod"}': "7x60",
                'fabula_watch_missed_total{instance="waits",kind="Pod"}': "0x60",
                'fabula_watch_events_total{instance="waits",kind="Pod"}': "0+400x60",
            },
            "45m",
            True,
        ),
        # The watch of another release is well.
        Case(
            {
                'fabula_watch_missed_total{job="ours",kind="Pod"}': "0+4x60",
                'fabula_watch_missed_total{job="theirs",kind="Pod"}': "0x60",
                'fabula_watch_events_total{job="theirs",kind="Pod"}': "0+400x60",
            },
            "45m",
            True,
        ),
    ),
    "FabulaApiErrors": (
        Case({'fabula_api_requests_total{verb="create",resource="jobs",code="403"}': "0+60x30"}, "20m", True),
        Case({'fabula_api_requests_total{verb="create",resource="jobs",code="201"}': "0+60x30"}, "20m", False),
        Case({'fabula_api_requests_total{verb="get",resource="jobs",code="404"}': "0+60x30"}, "20m", False),
        Case({'fabula_api_requests_total{verb="list",resource="pods",code="403"}': "0+1x30"}, "20m", True),
        Case({'fabula_api_requests_total{verb="create",resource="jobs",code="403"}': "0+1x30"}, "20m", False),
    ),
    "FabulaCertificateEnds": (
        Case({"fabula_certificate_expiry_timestamp_seconds": "864000x90"}, "80m", True),
        Case({"fabula_certificate_expiry_timestamp_seconds": "8640000x90"}, "80m", False),
        # Over plain HTTP there is no certificate.
        Case({'fabula_leader{lease="fabula-system/fabula-operator"}': "1x90"}, "80m", False),
    ),
}


def test_every_alert_is_tried_both_ways() -> None:
    assert set(CASES) == {one.name for one in ALERTS}
    for cases in CASES.values():
        assert {case.fires for case in cases} == {True, False}


def told(alert: str, case: Case) -> dict[str, str]:
    """The series of a case; those of runs as two operators tell them, of which one takes over from the other."""
    series = {
        name.replace("{", f'{{instance="{operator}",') if operator else name: values
        for name, values in case.series.items()
        for operator in (("former", "next") if 'name="' in name else ("",))
    }
    return series if alert == "FabulaOperatorWithoutLeader" else {**series, leader("a"): "1x300"}


@needs_promtool
def test_promtool_finds_each_alert_where_it_is_due_and_nowhere_else(tmp_path: Path) -> None:
    # Which alerts fire, by name alone: what they say is in the record.
    fires = 'count by (alertname) (ALERTS{alertstate="firing"})'
    promtool(
        tmp_path,
        of_release(rules_yaml(), OURS),
        (
            (told(alert, case), [Expected(fires, case.after, {f'{{alertname="{alert}"}}': 1} if case.fires else {})])
            for alert, cases in CASES.items()
            for case in cases
        ),
    )
