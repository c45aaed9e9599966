"""What happens at step boundaries: stop together, save when the plan says so, tell the launcher, refuse NaN."""

from __future__ import annotations

import logging
import math
import os
import resource
import statistics
import time
from collections import deque
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import gpu
from fabula_api.worker import GRADIENT_NOT_FINITE, LOSS_NOT_FINITE
from fabula_workloads.runtime.failures import Crashed, InputInvalid, WorkerError
from fabula_workloads.training.messages.events import CheckpointSaved, EventWriter, StepMade
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.rank.trainer import FineTuner, checkpoint_folder
from fabula_workloads.training.samples.measures import Measures
from fabula_workloads.training.schedule.order import Coverage
from fabula_workloads.training.schedule.steps import StepPlan

_log = logging.getLogger("fabula.train")
_GIB = 1024**3
_USUAL = 32
"""Steps whose median is the usual step time."""


class StepBoundary(TrainerCallback):  # type: ignore[misc]
    """One per rank. `interrupted` tells whether the run ended because it was asked to."""

    def __init__(
        self,
        job: TrainingJob,
        plan: StepPlan,
        events: EventWriter | None,
        *,
        validate: bool,
        coverage: Coverage,
        left_out: int,
        peak: float | None = None,
    ) -> None:
        """`events` is None in ranks that are not the first of their node; `left_out` samples are not trained on;
        `peak` is the device's, in operations a second."""
        self._job, self._plan, self._events, self._validate = job, plan, events, validate
        self._coverage, self._split = coverage, coverage.unique(plan.updates) + left_out
        self._peak = peak
        self._trainer: FineTuner | None = None
        self._since, self._before = time.monotonic(), Measures().row()
        self._seconds: deque[float] = deque(maxlen=_USUAL)
        self._metrics: dict[str, float] = {"skippedSamples": left_out}
        self.interrupted = False

    def attach(self, trainer: FineTuner) -> None:
        """Name the trainer that counts."""
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = time.monotonic()
        losses = [entry for entry in state.log_history if "loss" in entry]
        validations = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        if losses:
            self._metrics["firstLoss"] = losses[0]["loss"]
        if validations:
            self._metrics["validationLoss"] = validations[-1]
        if losses and state.global_step >= self._plan.steps:
            # A former attempt made every step and ended before the end was committed: its figures are the run's.
            self._tell(args, state, losses[-1])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Agree over all ranks whether to stop, so that none waits in a collective that another has left."""
        assert self._trainer is not None
        now, row = time.monotonic(), self._trainer.measures.row()
        gained = [after - before for after, before in zip(row, self._before, strict=True)]
        shared = torch.tensor([float(self._job.stop_file.exists()), *gained], device=args.device, dtype=torch.float64)
        if dist.is_initialized():
            dist.all_reduce(shared)
        stop, *sums = shared.tolist()
        self._rates(max(now - self._since, 1e-9), *sums)
        self._since, self._before = now, row
        last = state.global_step >= self._plan.steps
        if state.global_step in self._plan.checkpoint_steps:
            control.should_save = True
            control.should_evaluate = self._validate
        if stop and not last:
            self.interrupted = True
            control.should_save = control.should_training_stop = True
        return control

    def _rates(self, seconds: float, tokens: float, samples: float, flops: float, waited: float) -> None:
        """Figures of a step from the sums over all ranks."""
        ranks = self._plan.world_size
        self._seconds.append(seconds)
        self._metrics |= {
            "tokensPerSecondPerGpu": tokens / seconds / ranks,
            "samplesPerSecond": samples / seconds,
            "dataWait": min(waited / seconds / ranks, 1.0),
            "stepSeconds": statistics.median(self._seconds),
        }
        if self._peak is not None and flops:
            self._metrics["mfu"] = flops / seconds / ranks / self._peak

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report a step. Raises LossNotFinite or GradientNotFinite when one of the two is NaN or infinite."""
        if not logs or "loss" not in logs:
            return
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise not_finite(
                f"loss is {loss} and gradient norm {norm} at step {state.global_step} of {self._plan.steps}; lower "
                "training.learningRate, or set training.maxGradNorm where it is 0",
                self._job.spec.watchdog.policy,
                GRADIENT_NOT_FINITE if math.isfinite(loss) else LOSS_NOT_FINITE,
            )
        if args.process_index == 0:
            _log.info(
                "step %d/%d loss %.4f grad norm %.3f learning rate %.3g, %.0f tokens/s a rank",
                state.global_step, self._plan.steps, loss, norm, logs["learning_rate"],
                self._metrics["tokensPerSecondPerGpu"],
            )  # fmt: skip
        self._tell(args, state, logs)

    def _tell(self, args: TrainingArguments, state: TrainerState, logged: dict[str, float]) -> None:
        """Report the last step by what Trainer logged of it."""
        self._metrics.setdefault("firstLoss", float(logged["loss"]))
        self._metrics |= {
            "step": state.global_step,
            "steps": self._plan.steps,
            "epoch": float(state.epoch or 0.0),
            "loss": float(logged["loss"]),
            "gradNorm": float(logged.get("grad_norm", 0.0)),
            "learningRate": float(logged["learning_rate"]),
            "gpuMemory": _peak_memory_gib(args.device),
            "uniqueSamples": (unique := self._coverage.unique(state.global_step)),
            "uniqueShare": unique / self._split,
        }
        self._emit_step()

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        self._metrics["validationLoss"] = float((metrics or {})["eval_loss"])
        if args.process_index == 0:
            _log.info("step %d validation loss %.4f", state.global_step, self._metrics["validationLoss"])
        self._emit_step()
        self._since = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Hand a checkpoint to the launcher once every rank has written its part."""
        if dist.is_initialized():
            dist.barrier()
        if self._events is not None:
            folder = checkpoint_folder(self._job, state.global_step)
            self._events.emit(CheckpointSaved(step=state.global_step, path=folder))
        self._since = time.monotonic()

    def _emit_step(self) -> None:
        if self._events is not None:
            self._events.emit(StepMade(metrics=self._metrics))


def not_finite(message: str, policy: str, reason: str = LOSS_NOT_FINITE) -> WorkerError:
    """It ends the attempt, for every later step would be wasted. Policy `fail` ends the run with it; else the next
    attempt goes on from the last checkpoint, which was committed before."""
    kind = InputInvalid if policy == "fail" else Crashed
    return kind(message, reason)


def _peak_memory_gib(device: torch.device) -> float:
    """Most memory this rank has held: of its GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIB


def local_rank() -> int:
    """This process's number on its node."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def peak_of(spec: FineTuneRunSpec, device_name: str | None) -> float | None:
    """Dense bf16 operations a second of the device at its peak, by its driver's name or the spec's product.

    None where it is not known, and for a run that does not compute in bf16.
    """
    if device_name is None or spec.training.precision != "bf16":
        return None
    for product in (device_name.replace(" ", "-"), spec.topology.product):
        if product and (known := gpu(product)) and known.teraflops:
            return known.teraflops * 1e12
    return None
