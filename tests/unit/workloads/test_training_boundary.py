"""What happens at step boundaries, without ranks: saving by plan, stopping when asked, and a loss that is no number."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic.alias_generators import to_snake

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import Metrics
from fabula_api.worker import FINAL_EXIT_CODES
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.runtime.failures import Crashed
from fabula_workloads.training.messages.events import EventReader, EventWriter, StepMade
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.samples.measures import Measures, Timed
from fabula_workloads.training.schedule.order import Coverage
from fabula_workloads.training.schedule.packing import singly
from fabula_workloads.training.schedule.steps import plan_steps

pytestmark = pytest.mark.torch


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    spec = FineTuneRunSpec.model_validate(
        {
            "dataset": {"uri": "d"}, "model": {"name": "m"}, "topology": {"gpusPerNode": 1, "device": "cpu"},
            "training": {"maxSteps": 6}, "checkpoints": {"everySteps": 4},
        }
    )  # fmt: skip
    return TrainingJob(spec=spec, dataset=tmp_path, model=tmp_path, base_name="m", deepspeed={}, work=tmp_path)


@pytest.fixture
def boundary(job: TrainingJob) -> Any:
    prepare_torchvision()
    from fabula_workloads.training.rank.step_boundary import StepBoundary

    plan = plan_steps(job.spec, 10)
    made = StepBoundary(
        job,
        plan,
        EventWriter(job.events_file),
        validate=True,
        coverage=Coverage(plan, singly(10), seed=42),
        left_out=2,
        peak=1e12,
    )
    made.attach(SimpleNamespace(measures=Measures()))  # type: ignore[arg-type]
    return made


def end_step(boundary: Any, step: int) -> Any:
    import torch
    from transformers import TrainerControl, TrainerState

    arguments: Any = SimpleNamespace(device=torch.device("cpu"), process_index=0)
    return boundary.on_step_end(arguments, TrainerState(global_step=step), TrainerControl())


def log(boundary: Any, step: int, **logs: float) -> None:
    import torch
    from transformers import TrainerControl, TrainerState

    arguments: Any = SimpleNamespace(device=torch.device("cpu"), process_index=0)
    boundary.on_log(arguments, TrainerState(global_step=step, epoch=0.5), TrainerControl(), logs=logs)


def test_a_checkpoint_and_the_validation_loss_come_when_the_plan_says(boundary: Any) -> None:
    controls = {step: end_step(boundary, step) for step in range(1, 7)}
    assert [step for step, control in controls.items() if control.should_save] == [4, 6]
    assert [step for step, control in controls.items() if control.should_evaluate] == [4, 6]
    assert not any(control.should_training_stop for control in controls.values())


def test_a_stop_saves_at_the_next_boundary_without_evaluating(boundary: Any, job: TrainingJob) -> None:
    job.stop_file.touch()
    control = end_step(boundary, 2)
    assert control.should_save
    assert control.should_training_stop
    assert not control.should_evaluate
    assert boundary.interrupted


def test_a_stop_at_the_last_step_lets_the_run_finish(boundary: Any, job: TrainingJob) -> None:
    job.stop_file.touch()
    end_step(boundary, 6)
    assert not boundary.interrupted


def test_a_loss_that_is_no_number_ends_the_run_where_the_watchdog_says_so(boundary: Any, job: TrainingJob) -> None:
    from fabula_workloads.training.rank.step_boundary import not_finite

    assert not_finite("m", "fail").exit_code in FINAL_EXIT_CODES
    assert {not_finite("m", policy).exit_code for policy in ("warn", "restart")} == {1}
    assert not_finite("m", "fail").reason == "LossNotFinite"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"loss": float("nan")}, "LossNotFinite"),
        ({"loss": 1.0, "grad_norm": float("inf")}, "GradientNotFinite"),
    ],
)
def test_a_loss_or_gradient_that_is_no_number_ends_the_run_with_the_watchdogs_word(
    boundary: Any, bad: dict[str, float], reason: str
) -> None:
    with pytest.raises(Crashed, match="step 3 of 6") as raised:
        log(boundary, 3, learning_rate=0.1, **bad)
    assert raised.value.reason == reason


def test_steps_are_told_in_the_statuss_words(boundary: Any, job: TrainingJob) -> None:
    boundary._trainer.measures.add({"tokens": 4000, "samples": 4, "flops": 1e9})
    end_step(boundary, 1)
    log(boundary, 1, loss=8.0, grad_norm=2.0, learning_rate=0.1)
    end_step(boundary, 2)
    log(boundary, 2, loss=7.0, grad_norm=1.0, learning_rate=0.2)
    log(boundary, 2, train_runtime=3.0)
    events = EventReader(job.events_file).poll()
    assert len(events) == 2
    first, metrics = (dict(event.metrics) for event in events if isinstance(event, StepMade))
    seconds = first["stepSeconds"]
    assert first["tokensPerSecondPerGpu"] == pytest.approx(4000 / seconds)
    assert first["samplesPerSecond"] == pytest.approx(4 / seconds)
    assert first["mfu"] == pytest.approx(1e9 / seconds / 1e12)
    assert first["dataWait"] == 0
    assert (first["uniqueSamples"], first["uniqueShare"]) == (4, pytest.approx(4 / 12))
    assert metrics.pop("stepSeconds") > 0
    assert metrics.pop("gpuMemory") > 0
    assert metrics.pop("tokensPerSecondPerGpu") == 0  # the second step saw no new token
    assert metrics.pop("uniqueShare") == pytest.approx(8 / 12)
    assert metrics.pop("mfu") == first["mfu"]  # and needed no operation, which tells nothing
    assert {"FineTuneRun has " + to_snake(name) for name in first} <= {
        "FineTuneRun has " + n for n in Metrics.model_fields
    }
    assert metrics == {
        "samplesPerSecond": 0, "dataWait": 0, "uniqueSamples": 8, "skippedSamples": 2,
        "firstLoss": 8.0, "loss": 7.0, "gradNorm": 1.0, "learningRate": 0.2, "step": 2, "steps": 6, "epoch": 0.5,
    }  # fmt: skip


def test_the_share_of_waiting_is_over_all_ranks_and_the_usual_step_a_median(boundary: Any) -> None:
    for seconds, waited in ((4.0, 1.0), (2.0, 0.0), (3.0, 3.5)):
        boundary._rates(seconds, 0, 0, 0, waited)
        share = boundary._metrics["dataWait"]
        assert share == pytest.approx(min(1.0, waited / seconds))
    assert boundary._metrics["stepSeconds"] == 3.0


def test_time_without_a_batch_at_hand_is_counted() -> None:
    import time

    def batches() -> Any:
        for item in range(2):
            time.sleep(0.02)
            yield item

    measures = Measures()
    assert list(Timed(batches(), measures)) == [0, 1]
    assert measures.waited >= 0.04
