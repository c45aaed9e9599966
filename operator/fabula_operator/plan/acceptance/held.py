"""What a training holds and trains, in parameters and bytes: what memory and traffic both are counted from."""

from __future__ import annotations

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.model_families import ModelFacts

NF4_BYTES = 0.516
"""4 bits, 8 of a scale for each 64 weights, and 32 for each 256 of those (QLoRA; Dettmers et al., 2023)."""


def width_of(spec: FineTuneRunSpec) -> int:
    """Bytes of a weight that is not quantised."""
    return 4 if spec.training.precision == "fp32" else 2


def update_width(spec: FineTuneRunSpec) -> int:
    """Bytes of a number of the low-rank update and its path."""
    return 4 if spec.lora.precision == "fp32" else width_of(spec)


def update_parameters(spec: FineTuneRunSpec, model: ModelFacts) -> int:
    """Of the low-rank update; none where the weights themselves are trained, or the language model is not."""
    if spec.training.method == "full" or not spec.learns_language:
        return 0
    return model.lora_parameters(spec.lora.rank, spec.lora.target_modules)


def trained_parameters(spec: FineTuneRunSpec, model: ModelFacts) -> int:
    """Of the update, or of the language model; and what a recipe trains beside it."""
    language = model.language_parameters if spec.training.method == "full" else update_parameters(spec, model)
    return language + spec.weights_beside(model.hidden)


def held_bytes(spec: FineTuneRunSpec, model: ModelFacts) -> float:
    """Bytes of all weights, over all ranks once."""
    width = width_of(spec)
    updates = update_parameters(spec, model)
    held = float((model.parameters + spec.weights_beside(model.hidden)) * width + updates * update_width(spec))
    return held - model.layer_parameters * (width - NF4_BYTES) if spec.lora.quantization == "nf4" else held
