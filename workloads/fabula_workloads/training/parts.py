"""What a FineTuneRun asks a recipe for, where it trains something else than a chat model.

Everything around it stays the platform's: order and coverage of samples, steps, checkpoints, resumes, figures, commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fabula_api.artifact import Manifest
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.models.family import Collate
from fabula_workloads.recipe_parts import SampleEncoder
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.model_files import ModelFiles

if TYPE_CHECKING:
    import torch

Gathered = Callable[[], "Mapping[str, torch.Tensor] | None"]
"""Gives the trained weights whole, by name, on the first rank, where ranks hold parts of them (ZeRO-3); all ranks call
it. Elsewhere None: the model has them."""


class Saves(Protocol):
    """Writes what was trained, as the artifact's files. All ranks call it; one has `write`."""

    def __call__(self, folder: Path, *, write: bool, of_checkpoint: bool, gathered: Gathered) -> None:
        """In a checkpoint nothing need be written: every trained weight stands beside it, in its optimizer's state."""


class Losses(Protocol):
    """The loss of one pass, as part of its update's: for Trainer's `compute_loss_func`."""

    def __call__(self, outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        """`num_items_in_batch` counts the labels of the whole update, over all passes and ranks; the sum over them of
        what is returned is the update's loss."""


class Head(Protocol):
    """A part of the model that is told each batch's labels first."""

    labels: Any


@dataclass(frozen=True, slots=True)
class Trained:
    """A model as a rank trains it."""

    base: Any
    """The language model in it: its embeddings get NEFTune's noise."""
    model: Any
    """What Trainer trains: its forward takes a batch of `collate`, but for labels and figures."""
    collate: Collate
    """Batches with `labels`, whose entries that are not -100 an update's loss is divided by, and `FIGURES`: tokens,
    samples, flops, and the length of each row of embeddings."""
    loss: Losses
    save: Saves
    head: Head | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rates of those trained weights, by name, that have one of their own; they follow the same schedule."""


@dataclass(frozen=True, slots=True)
class TrainingParts:
    """`Recipe.training` names it as text. Its module is imported by the launcher too, which has no torch: what needs
    torch imports it when it is called."""

    check_architecture: Callable[[bytes, str], Mapping[str, Any]]
    """From a config.json and what errors call the model, before anything else of it is downloaded. Raises InputInvalid
    for a model of a kind that is not trained."""
    read_model: Callable[[Path, str], ModelFiles]
    """From the model's folder. Raises InputInvalid naming what is missing or damaged."""
    check: Callable[[FineTuneRunSpec, ModelFiles, str, Manifest, Mapping[str, Path]], None]
    """Whether this model can be trained as asked, on this dataset, beginning with these inputs. Raises ConfigInvalid or
    InputInvalid naming the field and what would work."""
    open_encoder: Callable[[TrainingJob], SampleEncoder]
    build: Callable[[TrainingJob, SampleEncoder], Trained]
    """Under ZeRO-3 Trainer's arguments exist by then: weights may be sharded while they are loaded."""
