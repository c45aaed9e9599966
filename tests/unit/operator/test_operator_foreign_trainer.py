"""Training images that speak only Kubeflow's progress protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.observations import (
    NOW,
    condition,
    finished,
    launches,
    observed,
    reported,
    step,
    with_child,
    with_pod,
)

from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed


def tune_status(seen: Observed) -> FineTuneRunStatus:
    status = seen.run.status
    assert isinstance(status, FineTuneRunStatus)
    return status


FOREIGN = {"template": {"image": "example/trainer:7", "command": ["torchrun", "train.py"]}}


def test_a_foreign_trainer_ends_well_by_its_exit_code_and_makes_no_adapter() -> None:
    seen, _ = step(observed("FineTuneRun", FOREIGN))
    seen, _ = step(reported(seen, 60, done=40, total=40, metrics={"loss": 1.5}))
    seen = with_child(with_pod(seen, phase="Succeeded", exit_code=0, finished_at=NOW), complete=True, finished_at=NOW)
    status = tune_status(step(seen)[0])
    assert status.state == "Succeeded"
    assert status.adapter is None
    assert status.metrics is not None
    assert status.metrics.loss == 1.5
    assert status.stages[0].done == 40
    assert status.progress is not None
    assert status.progress.summary == "trained, without an adapter, loss 1.5"


def test_a_foreign_trainer_that_writes_our_result_has_its_adapter() -> None:
    status = tune_status(finished(observed("FineTuneRun", FOREIGN)))
    assert status.adapter is not None


def test_our_own_worker_without_a_result_is_a_failure_all_the_same() -> None:
    seen, _ = step(observed("FineTuneRun"))
    seen = with_child(with_pod(seen, phase="Succeeded", exit_code=0), complete=True, finished_at=NOW)
    assert step(seen)[0].run.status.reason == "ResultUnreadable"


def test_what_brings_other_code_is_other_work() -> None:
    def key(template: dict[str, Any]) -> str:
        return launches(plan(observed("FineTuneRun", {"template": template}), NOW))[0].key

    assert key({}) == key({"env": {"NCCL_DEBUG": "INFO"}})
    others = [{"image": "mirror/fabula"}, {"image": "other/fabula"}]
    others += [{"env": {name: "x"}} for name in ("PYTHONPATH", "LD_PRELOAD", "HF_ENDPOINT", "AWS_ENDPOINT_URL_S3")]
    assert len({key(other) for other in [{}, *others]}) == 1 + len(others)
    assert key({"command": ["a"]}) != key({"command": ["b"]})
    assert key({"command": ["a"]}) != key({})


@pytest.mark.parametrize(
    "name", ["FABULA_CONFIG", "PET_NNODES", "MASTER_ADDR", "KUBEFLOW_TRAINER_SERVER_URL", "WORLD_SIZE", "RANK"]
)
def test_variables_that_the_operator_sets_cannot_be_given(name: str) -> None:
    made = plan(observed("FineTuneRun", {"template": {"env": {name: "x"}}}), NOW)
    assert condition(made.status, "Accepted") == ("False", "InvalidSpec")
    assert made.status is not None
    assert made.status.failure is not None
    assert f"spec.template.env: {name}" in made.status.failure.message


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        ('"metrics":{"step":NaN}', "Succeeded"),
        ('"metrics":{"loss":Infinity}', "Succeeded"),
        ('"counts":{"a":NaN}', "Failed"),
    ],
)
def test_metrics_that_are_no_numbers_are_left_out_and_counts_have_to_be_some(figures: str, state: str) -> None:
    template = {"command": ["train"], "image": "theirs"}
    seen, _ = step(step(observed("FineTuneRun", {"template": template}))[0])
    message = f'{{"outcome":"Succeeded",{figures}}}'
    seen = with_pod(seen, phase="Succeeded", exit_code=0, termination_message=message, finished_at=NOW)
    made = plan(with_child(seen, complete=True, finished_at=NOW), NOW)
    assert made.status is not None
    assert made.status.state == state
    json.dumps(made.status.to_wire(), allow_nan=False)
