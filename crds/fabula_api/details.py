"""What an artifact's manifest tells beside its parts, by kind: what the next stage must know of how it was made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializeAsAny

from fabula_api.base import Count, StatusModel, Text, Uri
from fabula_api.fine_tune_run import Lora
from fabula_api.shared_spec import PixelWindow
from fabula_api.summary import Summary
from fabula_api.worker import Figures


class Details(StatusModel):
    """Of any artifact: what its stage's result said, so that a later run that takes it as it is can say it again."""

    metrics: Figures = Field(default_factory=dict)
    summary: SerializeAsAny[Summary] = Field(default_factory=Summary)


class DatasetDetails(Details):
    """Of a `dataset`. Its recipe may tell more."""

    recipe: Text
    """Only a FineTuneRun of the same recipe takes it."""
    prompt_version: Text | None = None
    """Of the prompt in its samples."""
    splits: dict[Text, Count] = Field(default_factory=dict)
    """Samples by split."""


class BaseModelDetails(StatusModel):
    """The model that was tuned."""

    digest: Text
    """Of its config.json, by which a base is known again."""
    name: Text | None = None
    uri: Uri | None = None
    revision: Text | None = None


class Tuning(Details):
    """What a checkpoint and a tuned model tell alike."""

    base: BaseModelDetails
    method: Literal["lora", "full"] = "lora"
    quantization: Literal["none", "nf4"] = "none"
    """How the base was held."""


class TunedDetails(Tuning):
    """Of an `adapter` or a tuned `model`: what inference has to do as training did."""

    pixels: PixelWindow
    prompt_version: Text | None
    recipe: Text | None = None
    lora: Lora | None = None
    steps: Count | None = None
    first_loss: float | None = None
    last_loss: float | None = None
    padding: Count | None = None
    """Samples an epoch that were seen twice, so that all ranks made the same number of steps."""


class SamplerState(StatusModel):
    """Where the order of samples stood."""

    seed: int
    epoch: float | None = None
    step: Count


class CheckpointDetails(Tuning):
    """Of a `checkpoint`; its step and attempt stand beside these."""

    world_size: Count | None = None
    global_batch_size: Count | None = None
    """Samples an optimizer step, which a run that goes on from it must have as well."""
    sampler: SamplerState | None = None
    losses: list[tuple[int, float]] = Field(default_factory=list)
    """(step, loss), thinned out."""


class SampleSetDetails(Details):
    """Of a `sample-set`."""

    format: Text
    asked: Count
    seed: int
