"""Pods that outlive the end of their group: a PyTorchJob leaves them at work, and so the operator has to stop them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.observations import NOW, complete, failed_saying, observed, said, step, with_child, with_pod

from fabula_local.controllers.pytorchjob_plan import plan_pytorchjob
from fabula_local.controllers.pytorchjob_pods import labels
from fabula_operator.kube.apply import suspension
from fabula_operator.plan.actions import Action, SuspendChild
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.api_objects import Child
from fabula_operator.plan.seen.observed import Observed
from fabula_operator.render import manifest
from fabula_operator.render.launch import WorkerSettings

TWO_NODES = {"backend": "PyTorchJob", "topology": {"nodes": 2, "gpusPerNode": 8}}


def at_work() -> Observed:
    """Two nodes, each with its pod."""
    return step(step(observed("FineTuneRun", TWO_NODES))[0])[0]


def one_ended(seen: Observed, phase: str, code: int, message: str) -> Observed:
    """The pod of the first node has ended, the other one is at work."""
    ended = replace(seen.pods[0], phase=phase, exit_code=code, termination_message=message, finished_at=NOW)
    return replace(seen, pods=(ended, *seen.pods[1:]))


@pytest.mark.parametrize("end", ["Failed", "Succeeded"])
def test_suspending_a_pytorchjob_that_is_over_stops_what_still_runs_and_keeps_the_rest(end: str) -> None:
    """The training operator asks cleanPodPolicy of a job that is over, and nothing else."""
    launch = step(observed("FineTuneRun", TWO_NODES))[1].actions[0].launch  # type: ignore[union-attr]
    job: dict[str, Any] = manifest(launch, WorkerSettings("s3://bucket/fabula", "https://operator:8443"))
    job["metadata"] |= {"uid": "u"}
    job["status"] = {"conditions": [{"type": end, "status": "True"}]}
    pods = [
        {
            "metadata": {"name": kind, "labels": labels(job, kind, 0)},
            "status": {"phase": phase},
        }
        for kind, phase in (("Master", end), ("Worker", "Running"))
    ]
    assert plan_pytorchjob(job, pods, NOW).delete == []
    job["spec"]["runPolicy"] |= suspension("PyTorchJob", suspend=True)["runPolicy"]
    assert plan_pytorchjob(job, pods, NOW).delete == [pods[1]]


def test_a_run_that_failed_stops_the_ranks_that_hang() -> None:
    seen = one_ended(with_child(at_work(), failed=True), "Failed", 64, failed_saying("ConfigInvalid"))
    _, made = step(seen)
    assert made.status is not None
    assert made.status.state == "Failed"
    assert stops(made.actions, seen.children[0])


def test_a_run_that_succeeded_stops_the_ranks_that_hang_after_a_while() -> None:
    message = said(artifact={"uri": "file:///artifacts/a", "digest": "sha256:" + "a" * 64})
    seen = one_ended(with_child(at_work(), complete=True, finished_at=NOW), "Succeeded", 0, message)
    seen, made = step(seen)
    assert seen.run.status.state == "Succeeded"
    assert made.actions == ()
    assert made.requeue_after == 60
    assert plan(seen, NOW + timedelta(seconds=59)).actions == ()
    assert plan(seen, NOW + timedelta(seconds=59)).requeue_after == 1
    assert stops(plan(seen, NOW + timedelta(seconds=60)).actions, seen.children[0])
    over = with_pod(seen, phase="Succeeded", exit_code=0, finished_at=NOW)
    assert plan(over, NOW + timedelta(seconds=60)).actions == ()


def test_a_run_whose_ranks_ended_all_has_nothing_left_to_do() -> None:
    seen, made = step(complete(at_work()))
    assert (made.actions, made.requeue_after) == ((), None)
    made = plan(seen, NOW + timedelta(hours=1))
    assert (made.actions, made.requeue_after) == ((), None)


def stops(actions: tuple[Action, ...], child: Child) -> bool:
    return [action for action in actions if isinstance(action, SuspendChild)] == [SuspendChild(child, True)]
