"""The model that a rank trains, put together as the spec says."""

from __future__ import annotations

from typing import Any

from fabula_workloads.models.family import family_of
from fabula_workloads.models.loading import UnfitWeights, load_for_training
from fabula_workloads.models.segments import packed_attention
from fabula_workloads.models.stored_files import DamagedFile
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.recompute import recompute_layers
from fabula_workloads.training.model.trained_weights import add_lora, train_language


def attention_of(job: TrainingJob) -> str:
    """Which attention the language part uses, by transformers' name."""
    return packed_attention() if job.spec.training.packing else "sdpa"


def build_model(job: TrainingJob) -> tuple[Any, Any]:
    """The base model, and what is trained: the base with an adapter on top, or with method `full` the base itself.

    Under ZeRO-3 Trainer's arguments must exist before: weights are sharded while they are loaded. Raises InputInvalid
    where the files do not hold all of the model.
    """
    spec, training = job.spec, job.spec.training
    try:
        base = load_for_training(
            job.model, precision=training.precision, attention=attention_of(job), quantization=spec.lora.quantization
        )
    except (UnfitWeights, DamagedFile) as error:
        raise InputInvalid(f"model: {job.base_name} cannot be loaded: {error}") from error
    if training.kernels == "liger":
        family_of(base.config.model_type).use_liger(base)
    model = train_language(base) if training.method == "full" else add_lora(base, spec.lora, job.base_name)
    if training.gradient_checkpointing:
        recompute_layers(base, training.recompute_every, training.keep_layers)
    return base, model
