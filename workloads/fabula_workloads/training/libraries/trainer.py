"""Hugging Face's Trainer behind its interface (transformers 5.23), and the layers whose recomputation it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import Trainer


class OpenTrainer(Trainer):  # type: ignore[misc]
    """Trainer with names for what it keeps to itself."""

    def begin(self) -> None:
        """Whatever has to be done once the optimizer and the engine around it have been made."""

    def restore_state(self, folder: Path) -> None:
        """Read what `save_state` wrote; the optimizer and its schedule have been made."""
        raise NotImplementedError

    def save_state(self, folder: Path) -> None:
        """Write what the optimizer and its schedule know. All ranks call it."""
        raise NotImplementedError

    def is_done(self) -> bool:
        """Whether the last step is made already."""
        raise NotImplementedError

    def save_weights(self, folder: Path, *, of_checkpoint: bool) -> None:
        """Write what was trained; in a checkpoint it stands beside what `save_state` writes. All ranks call it."""
        raise NotImplementedError

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As `save_weights`, which Trainer itself asks for in its checkpoints."""
        self.save_weights(Path(output_dir or self.args.output_dir), of_checkpoint=_internal_call)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any) -> Any:
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        self.begin()
        if resume_from_checkpoint is not None:
            self.restore_state(Path(resume_from_checkpoint))
        return prepared

    def _run_epoch(self, **named: Any) -> None:
        # Trainer's own makes one step too many after a checkpoint of the last one.
        if self.is_done():
            self.control.should_training_stop = True
            return
        super()._run_epoch(**named)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        self.save_state(Path(output_dir))


def recompute_by(layers: Iterable[Any], function: Callable[..., Any]) -> None:
    """Let layers whose recomputation was asked for be recomputed by `function`."""
    for layer in layers:
        layer._gradient_checkpointing_func = function
