"""The life of a DatasetBuild, as a table of situations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import (
    NOW,
    complete,
    condition,
    edited,
    failed_saying,
    finished,
    launches,
    observed,
    pod_of,
    reported,
    step,
    with_child,
    with_pod,
    written,
)
from tests.support.operator_driver import DATASET_SPEC

from fabula_api.dataset_build import DatasetBuildStatus
from fabula_api.recipes import stages_of
from fabula_api.worker import WorkerResult
from fabula_operator.plan.actions import DeleteChild, DeleteRun, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.plan.stages.figures import items

EXTRACTION = DATASET_SPEC["extraction"]
IMAGES = DATASET_SPEC["images"]


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"recipe": "opera"}, "UnknownRecipe", "podcast"),
        ({"source": {}}, "InvalidSpec", "spec.podcast.source.uri"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_carried_out_is_refused_by_name(spec: dict[str, Any], reason: str, words: str) -> None:
    made = plan(observed("DatasetBuild", spec), NOW)
    assert made.actions == ()
    assert condition(made.status, "Accepted") == ("False", reason)
    assert condition(made.status, "Finished")[0] == "True"
    assert condition(made.status, "Stalled")[0] == "True"
    assert made.status is not None
    assert made.status.failure is not None
    assert words in made.status.failure.message


@pytest.mark.parametrize(
    ("recipe", "counts"),
    [
        ("podcast", {"sample/ok": 4, "pictures/5": 3, "pictures/4": 1}),
        ("audio-description", {"sample/ok": 4, "sample/withPrevious": 3, "sample/characters": 9}),
        ("visual-instruction", {"sample/ok": 4, "sample/frames": 90, "sample/replies": 7}),
    ],
)
def test_what_only_figures_are_made_of_is_no_item_of_a_stage(recipe: str, counts: dict[str, float]) -> None:
    assembling = (stages_of(recipe, "DatasetBuild") or ())[-1]
    assert items(WorkerResult(outcome="Succeeded", counts={**counts, "sample/failed/X": 1}), assembling) == (5, 1)


def test_at_first_sight_all_conditions_are_set_and_the_first_stage_starts() -> None:
    made = plan(observed("DatasetBuild"), NOW)
    (launch,) = launches(made)
    assert (launch.stage, launch.shards, launch.device) == ("ingest", 1, "cpu")
    assert launch.output.startswith("file:///artifacts/team/datasetbuild/ingest/")
    assert made.status is not None
    assert [one.type for one in made.status.conditions] == [
        "Accepted", "Running", "Suspended", "Succeeded", "Failed", "Finished", "Reconciling", "Stalled",
    ]  # fmt: skip
    assert [(one.name, one.state) for one in made.status.stages] == [
        ("ingest", "Running"), ("extract", "Pending"), ("illustrate", "Pending"), ("assemble", "Pending"),
    ]  # fmt: skip
    assert [one.reason for one in made.notices] == ["StageStarted"]


def test_a_stage_reads_what_the_one_before_it_made() -> None:
    seen, _ = step(observed("DatasetBuild"))
    _, made = step(complete(seen, counts={"episode/ok": 8}))
    (launch,) = launches(made)
    assert (launch.stage, launch.shards) == ("extract", 2)
    assert [one.name for one in launch.inputs] == ["ingest"]
    assert launch.inputs[0].uri.startswith("file:///artifacts/data-ingest-")


def test_a_whole_life_ends_with_the_dataset() -> None:
    summary = {"samplesBySplit": {"train": 18, "validation": 2}}
    seen = finished(
        observed("DatasetBuild"),
        counts={"sample/ok": 10, "pictures/5": 10, "episode/skipped/TooShort": 1},
        summary=summary,
    )
    status = seen.run.status
    assert isinstance(status, DatasetBuildStatus)
    assert status.state == "Succeeded"
    assert status.artifact is not None
    assert status.samples == 10
    assert status.figures["samplesWith5Pictures"] == 10
    assert not any(one.kind == "pictures" for one in status.items), "a figure is no item"
    assert status.samples_by_split == {"train": 18, "validation": 2}
    assert status.progress is not None
    assert status.progress.percent == 100
    assert len(seen.children) == 4


def test_without_pictures_the_stage_is_skipped() -> None:
    seen = finished(observed("DatasetBuild", {"images": {"provider": "none"}}))
    assert [child.stage for child in seen.children] == ["ingest", "extract", "assemble"]
    assert {one.name: one.state for one in seen.run.status.stages}["illustrate"] == "Skipped"
    assert seen.run.status.state == "Succeeded"


@pytest.mark.parametrize(
    ("situation", "pod", "child", "reason", "words"),
    [
        (
            "the worker says what is wrong",
            {"exit_code": 65, "termination_message": failed_saying("InputInvalid", "a.gz:3: not JSON")},
            {},
            "InputInvalid",
            "a.gz:3",
        ),
        ("it ran out of memory", {"exit_code": 137, "ended_reason": "OOMKilled"}, {}, "OOMKilled", "limits.memory"),
        ("it crashed without a word", {"exit_code": 3}, {}, "Crashed", "exit code 3"),
        ("it was killed", {"exit_code": 139}, {}, "Killed", "signal 11"),
        ("credentials were refused", {"exit_code": 77}, {}, "CredentialsRefused", "exit code 77"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_failed_stage_fails_the_run_with_its_digest(
    situation: str, pod: dict[str, Any], child: dict[str, Any], reason: str, words: str
) -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen = with_child(with_pod(seen, phase="Failed", **pod), failed=True, reason="PodFailurePolicy", **child)
    made = plan(seen, NOW)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Failed", reason)
    assert made.status.failure is not None
    assert words in made.status.failure.message
    assert made.status.failure.stage == "ingest"
    assert condition(made.status, "Finished") == ("True", reason)
    assert made.notices[-1].type == "Warning"


def test_one_shard_that_failed_for_good_fails_the_run_and_stops_the_others() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen, _ = step(complete(seen))
    broken = replace(seen.pods[-1], phase="Failed", exit_code=1, termination_message=failed_saying("NoSpace"))
    seen = with_child(replace(seen, pods=(*seen.pods[:-1], broken)), failed=True, failed_indexes=frozenset({1}))
    made = plan(seen, NOW)
    assert made.status is not None
    assert made.status.failure is not None
    assert (made.status.failure.reason, made.status.failure.shard) == ("NoSpace", 1)
    assert [type(action) for action in made.actions] == [SuspendChild]


@pytest.mark.parametrize(
    ("situation", "pod", "reason"),
    [
        (
            "no node fits",
            {"phase": "Pending", "waiting": "Unschedulable", "waiting_message": "0/3 nodes"},
            "Unschedulable",
        ),
        ("the image is not there", {"phase": "Pending", "waiting": "ImagePullBackOff"}, "ImagePullBackOff"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_run_that_waits_says_for_what(situation: str, pod: dict[str, Any], reason: str) -> None:
    seen, _ = step(observed("DatasetBuild"))
    made = plan(with_pod(seen, **pod), NOW)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Pending", reason)
    assert condition(made.status, "Running") == ("False", reason)
    assert made.actions == ()


def test_a_shard_that_is_tried_again_is_told_of() -> None:
    seen, _ = step(observed("DatasetBuild"))
    dead = replace(
        seen.pods[0], phase="Failed", exit_code=75, termination_message=failed_saying("NoSpace", "disk full")
    )
    again = replace(pod_of(seen.children[0]), name="again", uid="again")
    made = plan(with_child(replace(seen, pods=(dead, again)), retried=1), NOW)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Running", "Retrying")
    assert "disk full" in next(one.message for one in made.status.conditions if one.type == "Running")


def test_a_complete_job_whose_pod_is_gone_is_made_again_to_hear_its_result() -> None:
    seen, _ = step(observed("DatasetBuild"))
    made = plan(replace(complete(seen), pods=()), NOW)
    assert [type(action) for action in made.actions] == [DeleteChild]
    assert launches(made) == []
    _, made = step(replace(written(seen, made), children=(), pods=()))
    assert [launch.stage for launch in launches(made)] == ["ingest"]


def test_a_pod_that_succeeds_without_a_result_fails_the_run() -> None:
    seen, _ = step(observed("DatasetBuild"))
    made = plan(with_pod(complete(seen), termination_message="done!"), NOW)
    assert made.status is not None
    assert made.status.reason == "ResultUnreadable"


def test_suspending_stops_the_pods_and_resuming_goes_on_with_the_same_child() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen = edited(seen, suspend=True)
    made = plan(seen, NOW)
    assert [(type(action), action.suspend) for action in made.actions] == [(SuspendChild, True)]  # type: ignore[union-attr]
    assert made.status is not None
    assert made.status.state == "Suspended"
    seen = replace(with_child(written(seen, made), suspended=True), pods=())
    assert plan(seen, NOW).actions == ()
    made = plan(edited(seen, suspend=False), NOW)
    assert [(type(action), action.suspend) for action in made.actions] == [(SuspendChild, False)]  # type: ignore[union-attr]


def test_a_run_created_suspended_starts_nothing() -> None:
    made = plan(observed("DatasetBuild", {"suspend": True}), NOW)
    assert made.actions == ()
    assert condition(made.status, "Suspended") == ("True", "SuspendedBySpec")


def test_past_its_deadline_a_run_fails_and_its_pods_stop() -> None:
    seen, made = step(observed("DatasetBuild", {"deadline": "1h"}))
    assert made.requeue_after == 3600
    assert plan(seen, NOW + timedelta(minutes=59)).actions == ()
    made = plan(seen, NOW + timedelta(minutes=61))
    assert made.status is not None
    assert made.status.reason == "DeadlineExceeded"
    assert [type(action) for action in made.actions] == [SuspendChild]


def test_after_its_ttl_a_finished_run_is_deleted_and_not_before() -> None:
    seen = finished(observed("DatasetBuild", {"ttl": "10m"}))
    made = plan(seen, NOW + timedelta(minutes=9))
    assert made.actions == ()
    assert made.requeue_after == 60
    assert plan(seen, NOW + timedelta(minutes=10)).actions == (DeleteRun(),)


@pytest.mark.parametrize(
    "edit",
    [
        {"ttl": "10h"},
        {"extraction": {**EXTRACTION, "workers": 7}},
        {"images": {**IMAGES, "resources": {"requests": {"cpu": "3"}}}},
    ],
    ids=["a longer ttl", "more workers", "other resources"],
)
def test_an_edit_that_changes_no_output_leaves_a_finished_run_finished(edit: dict[str, Any]) -> None:
    seen = finished(observed("DatasetBuild"))
    before = seen.run.status
    made = plan(edited(seen, **edit), NOW + timedelta(hours=1))
    assert made.actions == ()
    assert made.status is not None
    assert made.status.observed_generation == 2
    changed = {"observed_generation", "conditions"}
    assert made.status.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert [one.last_transition_time for one in made.status.conditions] == [
        one.last_transition_time for one in before.conditions
    ]


def test_a_raised_target_goes_on_with_the_stage_it_changes() -> None:
    seen = edited(finished(observed("DatasetBuild")), target={"samples": 50})
    made = plan(seen, NOW)
    assert [launch.stage for launch in launches(made)] == ["extract"]
    assert condition(made.status, "Finished")[0] == "False"
    assert made.status is not None
    assert made.status.finished_at is None


def test_an_edit_after_a_failure_starts_again_with_fresh_tries() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen, _ = step(with_child(with_pod(seen, phase="Failed", exit_code=64), failed=True))
    assert seen.run.status.state == "Failed"
    seen = edited(seen, deadline="2h")
    made = plan(seen, NOW)
    assert [type(action) for action in made.actions] == [DeleteChild]
    _, made = step(replace(written(seen, made), children=(), pods=()))
    assert [launch.stage for launch in launches(made)] == ["ingest"]


def test_progress_tells_items_percent_and_time_left() -> None:
    seen, _ = step(observed("DatasetBuild"))
    made = plan(reported(seen, seconds=60, done=4, first=2, total=8), NOW)
    assert made.status is not None
    progress = made.status.progress
    assert progress is not None
    assert (progress.summary, progress.percent, progress.eta) == ("ingest 4/8", 12, "2m00s")


def test_right_after_a_resume_the_time_left_counts_only_what_was_done_since() -> None:
    seen, _ = step(observed("DatasetBuild"))
    made = plan(reported(seen, seconds=10, done=1001, first=1000, total=1010), NOW)
    assert made.status is not None
    assert made.status.progress is not None
    assert made.status.progress.eta == "1m30s"


def test_a_restarted_operator_does_not_let_figures_go_back() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen, _ = step(complete(seen))
    first, second = seen.pods[-2:]
    both = reported(replace(seen, pods=(*seen.pods[:-2], second, first)), 5, done=3, total=4)
    both = reported(replace(both, pods=seen.pods), 5, done=2, total=4)
    after, made = step(both)
    assert made.status is not None
    extract = {one.name: one for one in made.status.stages}["extract"]
    assert (extract.done, extract.total) == (5, 8)
    made = plan(reported(replace(after, reports=()), 9, done=2, total=4), NOW)
    assert made.status is not None
    extract = {one.name: one for one in made.status.stages}["extract"]
    assert (extract.done, extract.total) == (5, 8)


def test_a_report_of_a_stranger_is_not_counted() -> None:
    seen, _ = step(observed("DatasetBuild"))
    report = reported(seen, 5, done=7, total=8).reports[0]
    made = plan(replace(seen, reports=(replace(report, pod="someone-else"),)), NOW)
    assert made.status is not None
    assert made.status.stages[0].done is None


def test_a_deleted_run_is_left_to_the_garbage_collector() -> None:
    seen, _ = step(observed("DatasetBuild"))
    gone: Observed = replace(seen, run=replace(seen.run, deleting=True))
    assert plan(gone, NOW).status is None
    assert plan(gone, NOW).actions == ()


def test_events_planned_again_after_a_crash_have_the_same_identity() -> None:
    seen = observed("DatasetBuild")
    for _ in range(5):
        now, later = plan(seen, NOW), plan(seen, NOW + timedelta(seconds=7))
        assert now.notices == later.notices
        assert len({one.identity for one in now.notices}) == len(now.notices)
        seen, _made = step(complete(seen))
    assert seen.run.status.state == "Succeeded"


def test_what_the_workers_read_within_the_run_is_no_lineage() -> None:
    inside = {"name": "ingest", "uri": "file:///i", "digest": "sha256:" + "b" * 64}
    source = {"name": "source", "uri": "file:///s", "digest": "sha256:" + "c" * 64}
    seen = finished(observed("DatasetBuild"), lineage=[inside, source])
    assert [entry.name for entry in seen.run.status.lineage] == ["imageModel", "source"]
