"""Options, rights, metrics and foreign progress reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from tests.support.observations import NOW, launches, observed

from fabula_api.worker import ProgressBody, StageReport
from fabula_kube.work_queue import WorkQueue
from fabula_operator.handlers.metrics import Metrics
from fabula_operator.handlers.reports import Reports, foreign_report
from fabula_operator.handlers.run_series import RunSeries
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Write
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.stages.figures import seconds_left
from fabula_operator.rights import cluster_role, namespaced
from fabula_operator.settings import parser, read

NEEDED = ["--artifact-root", "file:///a", "--status-url", "https://x", "--tls-cert", "c", "--tls-key", "k"]


def test_options_come_from_the_command_line_before_the_environment() -> None:
    settings = read([*NEEDED, "--resync", "5"], {"FABULA_RESYNC": "7", "FABULA_PROGRESS_INTERVAL": "3"})
    assert (settings.resync, settings.progress_interval) == (5.0, 3.0)
    assert settings.worker.metrics_port == 9400
    assert read([*NEEDED, "--worker-metrics-port", "0"], {}).worker.metrics_port is None


def test_tokens_are_never_taken_over_plain_http(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(["--artifact-root", "file:///a", "--status-url", "https://x"], {})
    assert "--tls-cert and --tls-key are required" in capsys.readouterr().err


def test_every_option_has_a_variable_and_a_word_of_help() -> None:
    for action in parser({})._actions:
        assert action.help


def test_the_operator_may_not_read_secrets_nor_write_pods() -> None:
    rules = cluster_role()["rules"]
    granted = {
        (group, name, verb) for r in rules for group in r["apiGroups"] for name in r["resources"] for verb in r["verbs"]
    }
    assert not any(name == "secrets" or "*" in (group, name, verb) for group, name, verb in granted)
    assert {verb for _, name, verb in granted if name == "pods"} == {"get", "list", "watch"}


def test_what_has_one_name_is_granted_by_it() -> None:
    """A name cannot bound a creation; everything else that is done to ConfigMaps and Leases is bounded."""
    for rule in cluster_role(lease="mine")["rules"]:
        if {"configmaps", "leases"} & set(rule["resources"]):
            named = rule.get("resourceNames")
            assert named in (["fabula-status-ca"], ["mine"]) if rule["verbs"] != ["create"] else named is None


def test_one_namespace_gets_roles_and_nothing_of_the_cluster_but_reviews() -> None:
    objects = namespaced("team", "system")
    wide = [one for one in objects if one["kind"] == "ClusterRole"]
    assert [rule["resources"] for one in wide for rule in one["rules"]] == [["tokenreviews"]]
    assert {one["metadata"]["namespace"] for one in objects if one["kind"] in ("Role", "RoleBinding")} == {
        "team", "system",
    }  # fmt: skip


async def test_runs_are_shown_to_prometheus_from_their_status() -> None:
    cache = Cache()
    made = plan(observed("FineTuneRun"), NOW)
    assert launches(made)
    assert made.status is not None
    wire = {**made.status.to_wire(), "metrics": {"loss": 2.5}}
    meta = {"name": "tune", "namespace": "team", "uid": "u", "resourceVersion": "1"}
    cache.put({"kind": "FineTuneRun", "metadata": meta, "spec": {}, "status": wire})
    queue: WorkQueue[Key] = WorkQueue()
    for number in range(3):
        queue.add(Key("FineTuneRun", "team", f"run-{number}"))
    text = (await Metrics(queue, RunSeries(cache.packed)).text()).decode()
    assert 'fabula_runs{kind="FineTuneRun",namespace="team",state="Running"} 1.0' in text
    assert 'fabula_training_loss{kind="FineTuneRun",namespace="team",name="tune"} 2.5' in text
    assert "fabula_work_queue_depth 3.0" in text
    assert 'fabula_watch_missed_total{kind="Pod"} 0.0' in text


async def test_writes_are_counted_by_verb_and_resource() -> None:
    metrics = Metrics(WorkQueue(), RunSeries(Cache().packed))
    await metrics.after(Write("create", "jobs", "team", "a"))
    assert 'fabula_api_writes_total{resource="jobs",verb="create"} 1.0' in generate_latest(metrics.registry).decode()


def test_a_trainer_that_speaks_only_the_kubeflow_protocol_is_understood() -> None:
    body = ProgressBody.model_validate(
        {
            "trainerStatus": {
                "progressPercentage": 50,
                "estimatedRemainingSeconds": 9,
                "metrics": [
                    {"name": "loss", "value": "2.5"},
                    {"name": "grad_norm", "value": "0.25"},
                    {"name": "total_steps", "value": "126"},
                    {"name": "note", "value": "hello"},
                    {"name": "learning_rate", "value": "nan"},
                ],
            }
        }
    )
    report = foreign_report(body, "train", attempt=3)
    assert report is not None
    assert (report.attempt, report.done, report.total, report.eta_seconds) == (3, 63, 126, None)
    assert report.metrics["loss"] == 2.5
    assert report.metrics["gradNorm"] == 0.25
    reports = Reports()
    reports.put("uid", report, "pod", NOW, trains=True)
    # What is no number goes no further.
    assert reports.of("uid")[0].body.metrics == {"loss": 2.5, "gradNorm": 0.25}


@pytest.mark.parametrize(
    ("text", "prices"),
    [("", {}), ("A=1.8", {"A": 1.8}), (" A=1.8, NVIDIA-H200=3 ", {"A": 1.8, "NVIDIA-H200": 3.0})],
)
def test_prices_of_gpu_hours(text: str, prices: dict[str, float]) -> None:
    assert read([*NEEDED, "--gpu-hour-usd", text], {}).gpu_hour_usd == prices


@pytest.mark.parametrize("text", ["A", "A=x", "=3", "A=-1", "A=inf"])
def test_a_price_that_is_none_is_refused_by_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(NEEDED, {"FABULA_GPU_HOUR_USD": text})
    assert f"{text!r} is not PRODUCT=DOLLARS" in capsys.readouterr().err


def test_the_last_report_of_a_foreign_trainer_names_no_steps_and_still_counts_them() -> None:
    former = foreign_report(foreign(98, loss="1.5", current_step="124", total_steps="126"), "train", 1)
    last = foreign_report(foreign(100, loss="1.25", train_loss="3.5"), "train", 1, former)
    assert last is not None
    assert (last.done, last.total, last.metrics["loss"]) == (126, 126, 1.25)


def test_a_trainer_that_only_begins_makes_no_steps_of_those_before_a_resume() -> None:
    """Hugging Face's callback says 0 % at every start, and the checkpoint's step plus one a while later."""
    reports, now = Reports(), datetime(2026, 1, 1, tzinfo=UTC)
    told = [(0, foreign(0, total_steps="126"))]
    told += [(300 * step, foreign(50, current_step=str(62 + step), total_steps="126")) for step in (1, 2, 3)]
    for seconds, body in told:
        report = foreign_report(body, "train", 2, reports.last("u", "train", 2))
        if report is not None:
            reports.put("u", report, "pod", now + timedelta(seconds=seconds), trains=True)
    (last,) = reports.of("u")
    assert (last.first_done, last.body.done, last.body.total) == (63, 65, 126)
    assert seconds_left(last) == (126 - 65) * 300
    assert last.pulse is not None
    assert last.pulse.seconds == (300, 300)


@pytest.mark.parametrize(
    ("percent", "metrics", "done"),
    [
        (-5, {"loss": "1"}, 0),
        (250, {}, 100),
        (10, {"current_step": "1e300"}, 10),
        (10, {"current_step": "-4"}, 10),
        (10, {"total_steps": "inf"}, 10),
    ],
)
def test_figures_that_cannot_be_are_left_out(percent: int, metrics: dict[str, str], done: int) -> None:
    report = foreign_report(foreign(percent, **metrics), "train", 1)
    assert report is not None
    assert (report.done, report.total) == (done, 100)


def foreign(percent: int, **metrics: str) -> ProgressBody:
    named = [{"name": name, "value": value} for name, value in metrics.items()]
    return ProgressBody.model_validate({"trainerStatus": {"progressPercentage": percent, "metrics": named}})


def test_a_rate_begins_when_a_pod_had_made_nothing_for_the_last_time() -> None:
    reports, now = Reports(), datetime(2026, 1, 1, tzinfo=UTC)
    for second, done in ((0, 3), (14, 3), (15, 4), (16, 5)):
        reports.put("u", StageReport(stage="infer", done=done, total=24), "a", now + timedelta(seconds=second))
    (report,) = reports.of("u")
    assert (report.first_done, report.first_at) == (3, now + timedelta(seconds=14))
    assert seconds_left(report) == 19


def test_the_first_report_of_each_pod_is_kept_for_the_rate() -> None:
    reports, now = Reports(), datetime(2026, 1, 1, tzinfo=UTC)
    for number, (pod, done) in enumerate([("a", 10), ("a", 20), ("b", 15), ("b", 18)]):
        reports.put("u", StageReport(stage="train", done=done), pod, now + timedelta(seconds=number), trains=True)
    (report,) = reports.of("u")
    assert (report.first_done, report.body.done, report.first_at) == (15, 18, now + timedelta(seconds=2))
    reports.forget("u")
    assert reports.of("u") == ()
