"""The life of a FineTuneRun: waiting for its dataset, attempts and who pays for them, suspension, the adapter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import (
    DIGEST,
    NOW,
    child_of,
    complete,
    condition,
    edited,
    failed_saying,
    finished,
    launches,
    observed,
    pod_of,
    reference,
    reported,
    step,
    with_child,
    with_pod,
    written,
)
from tests.support.operator_driver import FINE_TUNE_SPEC, MODEL_DIGEST

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.actions import DeleteChild, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Environment, Observed
from fabula_operator.plan.seen.pulse import Pulse

LATER = NOW + timedelta(minutes=10)
TOPOLOGY = FINE_TUNE_SPEC["topology"]


def tune_status(seen: Observed) -> FineTuneRunStatus:
    status = seen.run.status
    assert isinstance(status, FineTuneRunStatus)
    return status


def ended(seen: Observed, **pod: Any) -> Observed:
    """The attempt at work failed, and its child says so."""
    fields = {"phase": "Failed", "finished_at": NOW, **pod}
    return with_child(with_pod(seen, **fields), failed=True)


@pytest.mark.parametrize(
    ("situation", "dataset", "words"),
    [
        ("the dataset is not there", reference("DatasetBuild", None, exists=False), "DatasetBuild data does not exist"),
        ("it is being built", reference("DatasetBuild", "Running", digest=None), "DatasetBuild data is Running"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[0].islower() else "",
)
def test_a_run_waits_for_its_dataset_and_says_how_that_stands(situation: str, dataset: Any, words: str) -> None:
    made = plan(observed("FineTuneRun", references={("DatasetBuild", "data"): dataset}), NOW)
    assert made.actions == ()
    assert condition(made.status, "Reconciling") == ("True", "WaitingForDataset")
    assert made.status is not None
    assert made.status.state == "Pending"
    assert words in next(one.message for one in made.status.conditions if one.type == "Running")


@pytest.mark.parametrize(
    ("spec", "crd", "expected", "words"),
    [
        ({}, True, "PyTorchJob", "CRD is installed"),
        ({}, False, "Job", "CRD is not installed"),
        ({"topology": {**TOPOLOGY, "nodes": 2}}, True, "Job", "several nodes"),
        ({"topology": {**TOPOLOGY, "nodes": 2}, "backend": "PyTorchJob"}, True, "PyTorchJob", "asks for it"),
        ({"backend": "Job"}, True, "Job", "asks for it"),
        ({"backend": "PyTorchJob"}, False, None, "WaitingForTrainingOperator"),
    ],
)
def test_the_backend_follows_from_the_cluster_and_says_why(
    spec: dict[str, Any], crd: bool, expected: str | None, words: str
) -> None:
    made = plan(observed("FineTuneRun", spec, environment=Environment("file:///artifacts", crd)), NOW)
    assert made.status is not None
    if expected is None:
        assert made.status.reason == words
        return
    assert [launch.backend for launch in launches(made)] == [expected]
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.backend is not None
    assert words in made.status.backend


def test_a_whole_life_records_dataset_attempt_and_adapter() -> None:
    summary = {
        "resumedFromStep": None,
        "checkpoint": {"uri": "file:///c", "step": 126, "digest": DIGEST, "committedAt": "2026-03-01T12:00:00Z"},
    }
    seen = finished(observed("FineTuneRun"), summary=summary, metrics={"loss": 1.25, "step": 126, "steps": 126})
    status = tune_status(seen)
    assert status.state == "Succeeded"
    assert status.adapter is not None
    assert [(one.number, one.state) for one in status.attempts] == [(1, "Succeeded")]
    assert status.checkpoint is not None
    assert status.checkpoint.step == 126
    assert status.metrics is not None
    assert status.metrics.loss == 1.25
    (dataset,) = [one for one in status.lineage if one.name == "dataset"]
    assert (dataset.run, dataset.digest) == ("DatasetBuild/data", DIGEST)
    assert status.stages[0].done == 126


def test_a_full_fine_tuning_ends_with_a_model() -> None:
    status = tune_status(finished(observed("FineTuneRun", {"training": {"method": "full"}})))
    assert status.adapter is None
    assert status.model is not None
    assert status.progress is not None
    assert str(status.progress.summary).startswith("model committed")
    assert status.model.digest == tune_status(finished(observed("FineTuneRun"))).adapter.digest  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ({"training": {"method": "full"}}, False),
        ({"lora": {"quantization": "nf4"}}, False),
        ({"deepspeed": {"stage": 2, "offload": "optimizer"}}, True),
    ],
)
def test_what_is_trained_decides_the_folder_and_where_its_state_lies_does_not(spec: dict[str, Any], same: bool) -> None:
    (plain,), (other,) = (launches(step(observed("FineTuneRun", fields))[1]) for fields in ({}, spec))
    assert (plain.key == other.key) is same


@pytest.mark.parametrize(
    ("situation", "pod", "budget", "reason"),
    [
        ("a node was preempted", {"disrupted": "PreemptionByScheduler"}, "infrastructure", "PreemptionByScheduler"),
        ("the kubelet evicted it", {"ended_reason": "Evicted"}, "infrastructure", "Evicted"),
        (
            "it was asked to stop",
            {"exit_code": 75, "termination_message": failed_saying("Interrupted")},
            "infrastructure",
            "Interrupted",
        ),
        ("it ran out of memory", {"exit_code": 137, "ended_reason": "OOMKilled"}, "failure", "OOMKilled"),
        (
            "it raised",
            {"exit_code": 1, "termination_message": failed_saying("LossIsNaN", rank=1)},
            "failure",
            "LossIsNaN",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_failed_attempt_is_charged_and_followed_by_the_next(
    situation: str, pod: dict[str, Any], budget: str, reason: str
) -> None:
    seen, _ = step(observed("FineTuneRun"))
    made = plan(ended(seen, **pod), NOW)
    assert made.status is not None
    assert isinstance(made.status, FineTuneRunStatus)
    first, second = made.status.attempts
    assert (first.state, first.budget, first.reason) == ("Failed", budget, reason)
    assert (second.number, second.state) == (2, "Pending")
    assert launches(made) == []
    assert made.requeue_after == 10
    later = plan(written(ended(seen, **pod), made), LATER)
    assert [launch.attempt for launch in launches(later)] == [2]


@pytest.mark.parametrize("code", [64, 65, 77])
def test_exit_codes_that_no_further_try_can_mend_fail_at_once(code: int) -> None:
    seen, _ = step(observed("FineTuneRun"))
    made = plan(ended(seen, exit_code=code), NOW)
    assert made.status is not None
    assert made.status.state == "Failed"
    assert launches(made) == []


def test_the_same_failure_once_too_often_fails_the_run_and_says_so() -> None:
    seen = observed("FineTuneRun", {"retries": {"failure": 1}})
    now = NOW
    for _ in range(2):
        seen, made = step(seen, now)
        assert len(launches(made)) == 1
        seen = ended(seen, exit_code=137, ended_reason="OOMKilled", finished_at=now)
        seen, made = step(seen, now)
        now += timedelta(minutes=10)
    assert made.status is not None
    assert made.status.reason == "OOMKilled"
    assert made.status.failure is not None
    assert "retries.failure allows no further one" in made.status.failure.message


def test_preemptions_do_not_use_up_the_tries_for_failures() -> None:
    seen = observed("FineTuneRun", {"retries": {"failure": 0, "infrastructure": 5}})
    now = NOW
    for _ in range(4):
        seen, made = step(seen, now)
        assert len(launches(made)) == 1
        seen, _ = step(ended(seen, disrupted="PreemptionByScheduler", finished_at=now), now)
        now += timedelta(minutes=10)
    assert seen.run.status.state != "Failed"


def test_the_wait_before_the_next_attempt_doubles() -> None:
    seen = observed("FineTuneRun")
    now, waits = NOW, []
    for _ in range(3):
        seen, _ = step(seen, now)
        seen, made = step(ended(seen, disrupted="Preempted", finished_at=now), now)
        waits.append(made.requeue_after)
        now += timedelta(minutes=10)
    assert waits == [10, 20, 40]


def test_one_dead_rank_ends_the_attempt_and_the_next_waits_until_all_pods_are_gone() -> None:
    seen, made = step(observed("FineTuneRun", {"backend": "PyTorchJob", "topology": {**TOPOLOGY, "nodes": 2}}))
    (launch,) = launches(made)
    assert launch.shards == 2
    master, worker = seen.pods
    broken = replace(seen, pods=(master, replace(worker, phase="Failed", exit_code=1, finished_at=NOW)))
    seen, made = step(broken, NOW)
    assert [type(action) for action in made.actions] == [DeleteChild]
    seen, made = step(seen, LATER)
    assert launches(made) == []
    child_gone = replace(seen, children=())
    assert launches(plan(child_gone, LATER)) == []
    assert plan(child_gone, LATER).status.reason == "Restarting"  # type: ignore[union-attr]
    made = plan(replace(child_gone, pods=(replace(master, phase="Failed"),)), LATER)
    assert [launch.attempt for launch in launches(made)] == [2]


def test_a_child_deleted_from_outside_costs_infrastructure() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen, _ = step(seen)
    made = plan(replace(seen, children=(), pods=()), NOW)
    assert isinstance(made.status, FineTuneRunStatus)
    assert (made.status.attempts[0].reason, made.status.attempts[0].budget) == ("ChildDeleted", "infrastructure")


def test_a_recorded_attempt_whose_child_was_not_made_yet_is_started_once_more() -> None:
    seen = observed("FineTuneRun")
    made = plan(seen, NOW)
    again = plan(written(seen, made), NOW)
    assert [one.child for one in launches(again)] == [one.child for one in launches(made)]


def test_suspension_ends_the_attempt_without_charge_and_resuming_starts_the_next() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen = edited(step(seen)[0], suspend=True)
    made = plan(seen, NOW)
    assert [type(action) for action in made.actions] == [SuspendChild]
    seen = with_child(written(seen, made), suspended=True)
    assert plan(seen, NOW).actions == ()
    # The pods commit, exit 75 and go; the controller may call that a failure of its child.
    seen = with_child(replace(seen, pods=()), failed=True)
    seen, made = step(seen)
    assert isinstance(made.status, FineTuneRunStatus)
    assert [(one.state, one.budget) for one in made.status.attempts] == [("Suspended", None)]
    assert made.status.state == "Suspended"
    made = plan(edited(seen, suspend=False), NOW)
    assert [launch.attempt for launch in launches(made)] == [2]


def test_an_attempt_of_another_spec_is_replaced_without_overlap() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen, _ = step(seen)
    seen, made = step(edited(seen, training={"maxSteps": 5}))
    assert [type(action) for action in made.actions] == [DeleteChild]
    assert launches(made) == []
    _, made = step(replace(seen, children=(), pods=()), LATER)
    assert [launch.attempt for launch in launches(made)] == [2]


def test_a_started_run_keeps_the_dataset_it_started_with() -> None:
    seen, first = step(observed("FineTuneRun"))
    rebuilt = reference("DatasetBuild", digest="sha256:" + "b" * 64)
    made = plan(replace(seen, references={("DatasetBuild", "data"): rebuilt}), NOW)
    assert made.actions == ()
    assert launches(first)[0].inputs[0].digest == DIGEST


def test_metrics_and_steps_come_from_the_report_of_the_attempt_at_work() -> None:
    seen, _ = step(observed("FineTuneRun"))
    checkpoint = {"uri": "file:///c", "step": 31, "digest": DIGEST, "committedAt": "2026-03-01T12:00:00Z"}
    figures = {"loss": 2.5, "gradNorm": 0.7, "tokensPerSecondPerGpu": 812.34567, "epoch": 0.3}
    made = plan(reported(seen, 60, done=40, first=10, total=126, metrics=figures, checkpoint=checkpoint), NOW)
    assert isinstance(made.status, FineTuneRunStatus)
    metrics = made.status.metrics
    assert metrics is not None
    assert (metrics.step, metrics.steps, metrics.loss, metrics.grad_norm) == (40, 126, 2.5, 0.7)
    assert metrics.tokens_per_second_per_gpu == 812.35
    assert made.status.checkpoint is not None
    assert made.status.progress is not None
    assert made.status.progress.summary == "step 40/126"
    assert made.status.progress.eta == "2m52s"


def test_a_failed_child_whose_pods_are_still_seen_running_is_judged_by_what_they_say_later() -> None:
    seen, _ = step(observed("FineTuneRun", {"backend": "PyTorchJob", "topology": {**TOPOLOGY, "nodes": 2}}))
    stale = with_child(seen, failed=True)
    made = plan(stale, NOW)
    assert isinstance(made.status, FineTuneRunStatus)
    assert [(one.number, one.state) for one in made.status.attempts] == [(1, "Running")]
    said = failed_saying("InputInvalid", "the model is damaged")
    told = step(with_pod(stale, phase="Failed", exit_code=65, termination_message=said, finished_at=NOW))[0]
    assert (tune_status(told).reason, len(tune_status(told).attempts)) == ("InputInvalid", 1)
    # A pod that is not there any more was lost, whatever the others do.
    lost, _ = step(replace(stale, pods=stale.pods[:1]))
    assert tune_status(lost).attempts[0].reason == "PodLost"


def test_right_after_a_resume_the_time_left_is_told_by_the_usual_step() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen, _ = step(reported(seen, 60, done=70, total=126, metrics={"loss": 2.0, "stepSeconds": 3.0}))
    seen, _ = step(ended(seen, disrupted="Preempted"))
    seen, _ = step(replace(seen, children=(), pods=(), reports=()), LATER)
    seen, _ = step(seen, LATER)
    made = plan(reported(seen, 0, done=62, first=62, total=126), LATER)
    assert made.status is not None
    assert made.status.progress is not None
    assert (made.status.progress.summary, made.status.progress.eta) == ("step 62/126", "3m12s")


def test_the_first_20_steps_say_better_than_sizes_how_long_it_takes() -> None:
    model = {"name": "Qwen3-VL-32B", "digest": MODEL_DIGEST}
    spec = {"model": model, "topology": {"gpusPerNode": 8, "product": "NVIDIA-A100-SXM4-80GB"}}
    seen, _ = step(observed("FineTuneRun", spec))
    before = tune_status(seen).estimate
    assert before is not None
    assert before.basis == "sizes"
    assert before.step_seconds is not None
    pulse = Pulse(12, NOW, seconds=(30.0,) * 12)

    def told_by(done: int) -> Observed:
        told = reported(seen, 60, done=done, total=126, metrics={"loss": 2.0})
        return replace(told, reports=(replace(told.reports[0], pulse=pulse),))

    assert tune_status(step(told_by(12))[0]).estimate == before
    seen, _ = step(told_by(20))
    told = tune_status(seen).estimate
    assert told is not None
    assert (told.basis, told.step_seconds, told.hours) == ("steps", 30, 1.1)
    assert told.memory_gib == before.memory_gib
    seen, _ = step(replace(seen, reports=()), LATER)
    assert tune_status(seen).estimate == told, "it stays when the operator has heard of no report yet"


def test_time_alone_changes_nothing() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen, _ = step(reported(seen, 60, done=4, total=9))
    made = plan(seen, NOW + timedelta(hours=5))
    assert made.status == seen.run.status
    assert made.actions == ()


def test_a_failed_run_that_is_edited_has_its_budgets_anew() -> None:
    seen, _ = step(observed("FineTuneRun", {"retries": {"failure": 0}}))
    seen, _ = step(ended(seen, exit_code=1))
    assert seen.run.status.state == "Failed"
    assert plan(seen, LATER).actions == ()
    made = plan(edited(seen, deadline="9h"), LATER)
    assert [launch.attempt for launch in launches(made)] == [2]
    child = child_of(launches(made)[0])
    assert child.name != seen.children[0].name
    assert pod_of(child).owner_uid == child.uid


def test_what_the_api_server_refuses_is_said_on_the_run() -> None:
    from fabula_operator.plan.seen.observed import Waiting

    refused = Waiting("ChildRefused", "exceeded quota: gpus")
    made = plan(observed("FineTuneRun", obstacle=refused), NOW)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Pending", "ChildRefused")
    assert len(launches(made)) == 1


def test_a_complete_attempt_whose_pod_is_gone_is_followed_by_one_that_finds_the_adapter() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen = complete(seen)
    made = plan(replace(seen, pods=()), NOW)
    assert isinstance(made.status, FineTuneRunStatus)
    assert made.status.attempts[0].reason == "ResultLost"
