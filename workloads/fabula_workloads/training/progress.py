"""What happens at step boundaries: stop together, save when the plan says so, tell the launcher, refuse NaN."""

from __future__ import annotations

import logging
import math
import os
import resource
import time
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fabula_workloads.runtime.failures import Crashed
from fabula_workloads.training.events import EventWriter
from fabula_workloads.training.job import TrainingJob
from fabula_workloads.training.steps import StepPlan
from fabula_workloads.training.trainer import LoraTrainer, checkpoint_folder

_log = logging.getLogger("fabula.train")
_GIB = 1024**3


class StepBoundary(TrainerCallback):  # type: ignore[misc]
    """One per rank. `interrupted` tells whether the run ended because it was asked to."""

    def __init__(self, job: TrainingJob, plan: StepPlan, events: EventWriter | None, validate: bool) -> None:
        """`events` is None in ranks that are not the first of their node."""
        self._job, self._plan, self._events, self._validate = job, plan, events, validate
        self._trainer: LoraTrainer | None = None
        self._since, self._tokens_before = time.monotonic(), 0
        self._metrics: dict[str, float] = {}
        self.interrupted = False

    def attach(self, trainer: LoraTrainer) -> None:
        """Name the trainer whose tokens are counted."""
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = time.monotonic()
        if first := next((entry["loss"] for entry in state.log_history if "loss" in entry), None):
            self._metrics["firstLoss"] = first

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Agree over all ranks whether to stop, so that none waits in a collective that another has left."""
        assert self._trainer is not None
        now, tokens = time.monotonic(), self._trainer.tokens
        shared = torch.tensor(
            [float(self._job.stop_file.exists()), float(tokens - self._tokens_before)], device=args.device
        )
        if dist.is_initialized():
            dist.all_reduce(shared)
        stop, step_tokens = shared.tolist()
        self._metrics["tokensPerSecondPerGpu"] = step_tokens / max(now - self._since, 1e-9) / self._plan.world_size
        self._since, self._tokens_before = now, tokens
        last = state.global_step >= self._plan.steps
        if state.global_step in self._plan.checkpoint_steps:
            control.should_save = True
            control.should_evaluate = self._validate
        if stop and not last:
            self.interrupted = True
            control.should_save = control.should_training_stop = True
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report a step. Raises Crashed (NonFiniteLoss) when loss or gradient norm is NaN or infinite."""
        if not logs or "loss" not in logs:
            return
        loss, norm = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Crashed(
                f"loss is {loss} and gradient norm {norm} at step {state.global_step} of {self._plan.steps}; lower "
                "training.learningRate, or set training.maxGradNorm where it is 0",
                "NonFiniteLoss",
            )
        self._metrics.setdefault("firstLoss", loss)
        self._metrics |= {
            "step": state.global_step,
            "steps": self._plan.steps,
            "epoch": float(state.epoch or 0.0),
            "loss": loss,
            "gradNorm": norm,
            "learningRate": float(logs["learning_rate"]),
            "gpuMemory": _peak_memory_gib(args.device),
        }
        if args.process_index == 0:
            _log.info(
                "step %d/%d loss %.4f grad norm %.3f learning rate %.3g, %.0f tokens/s a rank",
                state.global_step, self._plan.steps, loss, norm, logs["learning_rate"],
                self._metrics["tokensPerSecondPerGpu"],
            )  # fmt: skip
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
            self._events.emit("checkpoint", step=state.global_step, path=str(folder))
        self._since = time.monotonic()

    def _emit_step(self) -> None:
        if self._events is not None:
            self._events.emit("step", metrics=self._metrics)


def _peak_memory_gib(device: torch.device) -> float:
    """Most memory this rank has held: of its GPU, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIB


def local_rank() -> int:
    """This process's number on its node."""
    return int(os.environ.get("LOCAL_RANK", "0"))
