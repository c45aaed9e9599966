"""What happens at step boundaries, without ranks: saving by plan, stopping when asked, and a loss that is no number."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.models.torchvision_shim import prepare_torchvision
from fabula_workloads.runtime.failures import Crashed
from fabula_workloads.training.events import EventReader, EventWriter
from fabula_workloads.training.job import TrainingJob
from fabula_workloads.training.steps import plan_steps

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
    from fabula_workloads.training.progress import StepBoundary

    made = StepBoundary(job, plan_steps(job.spec, 10), EventWriter(job.events_file), validate=True)
    made.attach(SimpleNamespace(tokens=100))  # type: ignore[arg-type]
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


@pytest.mark.parametrize("bad", [{"loss": float("nan")}, {"loss": 1.0, "grad_norm": float("inf")}])
def test_a_loss_or_gradient_that_is_no_number_ends_the_run(boundary: Any, bad: dict[str, float]) -> None:
    with pytest.raises(Crashed, match="step 3 of 6") as raised:
        log(boundary, 3, learning_rate=0.1, **bad)
    assert raised.value.reason == "NonFiniteLoss"


def test_steps_are_told_in_the_statuss_words(boundary: Any, job: TrainingJob) -> None:
    end_step(boundary, 1)
    log(boundary, 1, loss=8.0, grad_norm=2.0, learning_rate=0.1)
    end_step(boundary, 2)
    log(boundary, 2, loss=7.0, grad_norm=1.0, learning_rate=0.2)
    log(boundary, 2, train_runtime=3.0)
    events = EventReader(job.events_file).poll()
    assert len(events) == 2
    metrics = events[-1]["metrics"]
    assert metrics.pop("gpuMemory") > 0
    assert metrics.pop("tokensPerSecondPerGpu") == 0  # the second step saw no new token
    assert metrics == {
        "firstLoss": 8.0, "loss": 7.0, "gradNorm": 1.0, "learningRate": 0.2, "step": 2, "steps": 6, "epoch": 0.5,
    }  # fmt: skip
