"""Pods whose container never began: what the kubelet says is told, and what no try can mend is not tried again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.observations import NOW, condition, edited, launches, observed, step, with_child, with_pod

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.actions import DeleteChild, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Pod

RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "fabula-worker": executable file not found in $PATH: unknown'
)
STAT = 'unable to start container process: exec: "/opt/train": stat /opt/train: no such file or directory: unknown'
PASSING = "failed to create containerd task: failed to create shim task: context deadline exceeded: unknown"
CGROUP = "runc create failed: unable to apply cgroup configuration: open /sys/fs/cgroup/x: no such file or directory"


def wire(reason: str, message: str) -> dict[str, Any]:
    """A pod as the kubelet reports it once its container could not start."""
    ended = {"exitCode": 128, "reason": reason, "message": message, "startedAt": "1970-01-01T00:00:00Z"}
    return {
        "metadata": {"name": "p", "uid": "u"},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "worker", "state": {"terminated": ended}}]},
    }


@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun"])
def test_the_runtimes_words_are_no_result_of_the_worker(reason: str) -> None:
    found = Pod.from_object(wire(reason, RUNC))
    assert (found.not_started, found.termination_message, found.exit_code) == (RUNC, None, 128)


@pytest.mark.parametrize("said", [RUNC, STAT])
def test_a_command_that_is_not_there_is_told_and_not_tried_again(said: str) -> None:
    seen, _ = step(observed("DatasetBuild"))
    # The Job's controller knows nothing of it and is about to make the next pod.
    made = plan(with_pod(seen, phase="Failed", exit_code=128, ended_reason="StartError", not_started=said), NOW)
    assert made.status is not None and made.status.failure is not None
    assert (made.status.state, made.status.reason) == ("Failed", "StartError")
    assert said in made.status.failure.message
    assert [type(action) for action in made.actions] == [SuspendChild]


@pytest.mark.parametrize("said", [PASSING, CGROUP])
def test_a_node_that_could_not_start_it_is_tried_again(said: str) -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen = with_pod(seen, phase="Failed", exit_code=128, ended_reason="StartError", not_started=said)
    made = plan(with_child(seen, retried=1), NOW)
    assert made.status is not None
    assert (made.status.state, made.status.reason) == ("Running", "Retrying")
    assert said in next(one.message for one in made.status.conditions if one.type == "Running")


def test_an_edit_of_the_spec_gives_a_stage_that_could_not_start_its_tries_anew() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen, _ = step(with_pod(seen, phase="Failed", exit_code=128, ended_reason="StartError", not_started=RUNC))
    made = plan(edited(seen, deadline="2h"), NOW)
    assert [type(action) for action in made.actions] == [DeleteChild]
    assert made.status is not None
    assert made.status.state != "Failed"


@pytest.mark.parametrize(("said", "budget", "attempts"), [(RUNC, "failure", 1), (PASSING, "infrastructure", 2)])
def test_a_group_that_cannot_start_ends_the_run_and_one_that_could_not_is_begun_again(
    said: str, budget: str, attempts: int
) -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen = with_pod(seen, phase="Failed", exit_code=128, ended_reason="StartError", not_started=said, finished_at=NOW)
    made = plan(with_child(seen, failed=True, finished_at=NOW), NOW)
    assert isinstance(made.status, FineTuneRunStatus)
    assert len(made.status.attempts) == attempts
    assert (made.status.attempts[0].reason, made.status.attempts[0].budget) == ("StartError", budget)
    assert (made.status.state == "Failed") is (attempts == 1)


def test_an_init_container_that_failed_is_named() -> None:
    init = {"name": "init-pytorch", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    own = {"name": "pytorch", "state": {"waiting": {"reason": "PodInitializing"}}}
    status = {"phase": "Failed", "initContainerStatuses": [init], "containerStatuses": [own]}
    found = Pod.from_object({"metadata": {"name": "p", "uid": "u"}, "status": status})
    assert found.message == "init container init-pytorch failed (Error, exit code 1)"
    seen, _ = step(observed("DatasetBuild"))
    seen = with_child(with_pod(seen, phase="Failed", message=found.message), failed=True)
    failure = plan(seen, NOW).status.failure  # type: ignore[union-attr]
    assert failure is not None
    assert "init container init-pytorch failed" in failure.message


def test_workers_that_did_not_find_their_master_cost_infrastructure() -> None:
    """The training operator's init container looks for the master's name, which is there once the master is ready."""
    two = {"backend": "PyTorchJob", "topology": {"nodes": 2, "gpusPerNode": 8}}
    seen, _ = step(observed("FineTuneRun", two))
    message = "init container init-pytorch failed (Error, exit code 1)"
    seen = with_child(with_pod(seen, phase="Failed", message=message, finished_at=NOW), failed=True, finished_at=NOW)
    made = plan(seen, NOW)
    assert isinstance(made.status, FineTuneRunStatus)
    first = made.status.attempts[0]
    assert (first.state, first.budget) == ("Failed", "infrastructure")
    assert first.message is not None and message in first.message
    assert len(made.status.attempts) == 2


def test_what_the_kubelet_says_of_a_whole_pod_is_told() -> None:
    status = {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}
    found = Pod.from_object({"metadata": {"name": "p", "uid": "u"}, "status": status})
    seen, _ = step(observed("DatasetBuild"))
    seen = with_child(
        with_pod(seen, phase="Failed", ended_reason=found.ended_reason, message=found.message), failed=True
    )
    made = plan(seen, NOW)
    assert made.status is not None and made.status.failure is not None
    assert (made.status.reason, "enough resource: cpu" in made.status.failure.message) == ("OutOfcpu", True)


def test_a_config_above_what_one_variable_holds_is_refused_before_a_child_exists() -> None:
    words = ["x" * 1000] * 140
    spec = {"template": {"image": "x/y", "command": ["train"], "args": words}}
    made = plan(observed("FineTuneRun", spec), NOW)
    assert launches(made) == []
    assert made.status is not None and made.status.failure is not None
    assert (made.status.state, made.status.reason) == ("Failed", "ConfigTooLarge")
    assert "131,072" in made.status.failure.message
    assert "spec.template" in made.status.failure.message
    assert condition(made.status, "Stalled") == ("True", "ConfigTooLarge")
    small = plan(observed("FineTuneRun", {"template": {**spec["template"], "args": words[:100]}}), NOW)
    assert len(launches(small)) == 1


def test_a_spec_that_was_shortened_starts_with_its_first_attempt() -> None:
    spec = {"template": {"image": "x/y", "command": ["train"], "args": ["x" * 1000] * 140}}
    seen, _ = step(observed("FineTuneRun", spec))
    seen = edited(seen, template={"image": "x/y", "command": ["train"]})
    assert [launch.attempt for launch in launches(plan(seen, NOW))] == [1]
