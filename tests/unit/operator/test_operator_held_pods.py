"""Pods that something else keeps although their worker has ended: the worker's own word is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import DIGEST, NOW, condition, failed_saying, launches, observed, said, step, with_pod

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.actions import DeleteChild, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Pod
from fabula_operator.plan.seen.observed import Observed

LATER = NOW + timedelta(minutes=1)
DONE = said(artifact={"uri": "file:///a", "digest": DIGEST})


def kept(seen: Observed, **changes: Any) -> Observed:
    """The last pod, whose worker has ended beside a container that runs on."""
    ended = {"exit_code": 0, "termination_message": DONE, "finished_at": NOW, "beside": "istio-proxy", **changes}
    return with_pod(seen, **ended)


def test_a_container_beside_the_worker_is_found_by_its_name() -> None:
    own = {"name": "worker", "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-03-01T12:00:00Z"}}}
    other: dict[str, Any] = {"name": "istio-proxy", "state": {"running": {}}}
    status = {"phase": "Running", "containerStatuses": [other, own]}
    obj = {"metadata": {"name": "p", "uid": "u"}, "status": status}
    assert Pod.from_object(obj).beside == "istio-proxy"
    gone = {**status, "containerStatuses": [{**other, "state": {"terminated": {"exitCode": 0}}}, own]}
    assert Pod.from_object({**obj, "status": gone}).beside is None
    # One that Kubernetes itself ends with the pod's work is told of among the init containers.
    native = {**status, "containerStatuses": [own], "initContainerStatuses": [other]}
    assert Pod.from_object({**obj, "status": native}).beside is None


def test_it_is_said_at_once_and_the_result_is_taken_after_a_minute() -> None:
    seen = kept(step(observed("DatasetBuild"))[0])
    made = plan(seen, NOW)
    assert made.status is not None
    assert (made.status.state, made.status.reason, made.requeue_after) == ("Running", "OtherContainerRuns", 60)
    text = next(one.message for one in made.status.conditions if one.type == "Running")
    assert "istio-proxy" in text
    assert [notice.reason for notice in made.notices if notice.type == "Warning"] == ["OtherContainerRuns"]
    taken = plan(seen, LATER)
    assert taken.status is not None
    assert [stage.state for stage in taken.status.stages][:2] == ["Succeeded", "Running"]
    assert [launch.stage for launch in launches(taken)] == ["extract"]
    # Its Job would wait for ever, and the pod would hold what it has.
    assert [action.child.stage for action in taken.actions if isinstance(action, SuspendChild)] == ["ingest"]


def test_the_last_stage_ends_the_run_and_its_child_is_stopped_a_minute_after() -> None:
    seen = kept(step(observed("FineTuneRun"))[0])
    seen, made = step(seen, LATER)
    assert made.status is not None and made.status.state == "Succeeded"
    assert [type(action) for action in plan(seen, LATER + timedelta(minutes=2)).actions] == [SuspendChild]


def test_the_workers_own_failure_is_taken_too() -> None:
    word = failed_saying("InputInvalid", "bad")
    seen = kept(step(observed("DatasetBuild"))[0], exit_code=65, termination_message=word)
    made = plan(seen, LATER)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Failed", "InputInvalid")
    assert [type(action) for action in made.actions] == [SuspendChild]


def test_a_group_goes_on_with_its_next_attempt_once_the_former_child_is_gone() -> None:
    seen = kept(step(observed("FineTuneRun"))[0], exit_code=75, termination_message=failed_saying("NoSpace"))
    made = plan(seen, LATER)
    assert isinstance(made.status, FineTuneRunStatus)
    assert [(one.number, one.state, one.budget) for one in made.status.attempts] == [
        (1, "Failed", "infrastructure"), (2, "Pending", None),
    ]  # fmt: skip
    assert [type(action) for action in made.actions] == [DeleteChild]


def test_other_shards_at_work_are_not_spoken_over() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen = replace(seen, children=(replace(seen.children[0], size=2),))
    other = replace(seen.pods[0], name="b", uid="b", index=1)
    made = plan(kept(replace(seen, pods=(other, *seen.pods))), LATER)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Running", None)


@pytest.mark.parametrize("beside", [None, "istio-proxy"])
def test_a_pod_that_ends_soon_after_its_worker_is_as_any_other(beside: str | None) -> None:
    seen = kept(step(observed("DatasetBuild"))[0], beside=beside)
    made = plan(seen, NOW + timedelta(seconds=30))
    assert made.status is not None
    assert condition(made.status, "Running")[0] == "True"
    assert launches(made) == []
