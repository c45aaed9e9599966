"""Memory of a rank of a training, by what takes it, from sizes alone; `docs/operator.md` has the table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.model_families import ModelFacts
from fabula_api.training_memory import LIVE_PARAMETERS, LOGITS_AT_ONCE
from fabula_operator.plan.acceptance.held import held_bytes, trained_parameters, update_width, width_of
from fabula_operator.plan.acceptance.step_time import PATCH_PIXELS, recomputed_layers

GIB = 1024**3
CONTEXT_GIB = 1.5
"""CUDA context, cuBLAS workspaces and NCCL's buffers."""
OPTIMIZER_BYTES = 12
"""fp32 master weight and AdamW's two moments, for each trainable parameter."""
GRADIENT_BYTES = 4
"""Of a trained parameter: passes are added up in fp32, whatever they compute in."""
LOGIT_BYTES = 12
"""bf16 logits, their fp32 copy, and the gradients of both."""
VISION_BYTES = 34
"""Activations of one layer of the vision tower for each patch and hidden unit, in bf16 with fused attention
(Korthikanti et al., 2022). It is frozen, so only the layer at work holds any."""
USABLE = 0.9
"""Share of a GPU's memory that fragmentation leaves at the peak."""
MOST_PICTURES = 6
PATCHES = 4
"""Of 16x16 pixels, merged to one picture token."""


@dataclass(frozen=True, slots=True)
class Memory:
    """GiB of one rank, by what takes them."""

    weights: float
    gathered: float
    state: float
    activations: float
    logits: float
    host: float
    """In CPU memory, of all ranks of a pod."""
    unsharded: float = 0.0
    """Weights that each rank holds whole until ZeRO-3 shards them."""

    @property
    def least(self) -> float:
        """Without which no step can be made."""
        return max(self._at_rest, self.unsharded + CONTEXT_GIB)

    @property
    def peak(self) -> float:
        """In the backward pass of the longest sample, or of a full sequence."""
        return max(self._at_rest + self.activations + self.logits, self.unsharded + CONTEXT_GIB)

    @property
    def _at_rest(self) -> float:
        """Between two steps."""
        return self.weights + self.gathered + self.state + CONTEXT_GIB


def memory_of(spec: FineTuneRunSpec, model: ModelFacts) -> Memory:
    """GiB of one rank, as the run is written."""
    training, ranks = spec.training, spec.topology.nodes * spec.topology.gpus_per_node
    width, offload = width_of(spec), spec.deepspeed.offload
    full = training.method == "full"
    trainable, held = trained_parameters(spec, model), held_bytes(spec, model)
    weights, gathered = held, 0.0
    if spec.deepspeed.stage == 3:
        weights = 0.0 if offload == "all" else held / ranks
        if spec.deepspeed.within_node:
            weights += held / spec.topology.gpus_per_node
        gathered = (
            min(max(LIVE_PARAMETERS, model.expert_parameters) * width, held) if ranks > 1 or offload == "all" else 0.0
        )
    state = _state(spec, trainable, update_width(spec), ranks)
    moved = 0.0
    if offload != "none":
        # The optimizer on the CPU has its gradients beside those that passes are added up in.
        moved = state + trainable * GRADIENT_BYTES / ranks + (held / ranks if offload == "all" else 0.0)
    tokens = training.per_device_batch_size * training.max_length
    layer = tokens * (width * model.activation_elements() + _update_inputs(spec, model))
    # With checkpointing only each layer's input is kept, and one layer is computed anew at a time.
    recomputed = recomputed_layers(spec, model)
    anew = recomputed * tokens * model.hidden * width + layer if recomputed else 0
    activations = anew + (model.layers - recomputed) * layer
    logits = tokens * model.vocabulary
    if not full and "lm_head" not in spec.lora.target_modules:
        logits = min(logits, LOGITS_AT_ONCE)
    in_bytes = (
        weights,
        gathered,
        state if offload == "none" else 0.0,
        activations + _vision(spec, model, tokens),
        logits * LOGIT_BYTES,
        moved * spec.topology.gpus_per_node,
        # Quantised on the GPU where it is used, and no part of it anywhere else.
        held if spec.lora.quantization == "nf4" and spec.deepspeed.stage == 3 else 0.0,
    )
    return Memory(*(amount / GIB for amount in in_bytes))


def layers_with_room(spec: FineTuneRunSpec, model: ModelFacts, room: float) -> int:
    """The most layers that may keep their activations within so many GiB; 0 where that is no more than the spec says,
    or where it says otherwise which are recomputed."""
    training = spec.training
    if not training.gradient_checkpointing or training.recompute_every > 1:
        return 0

    def peak(kept: int) -> float:
        return memory_of(spec.replace(training=training.replace(keep_layers=kept)), model).peak

    # Each layer that is kept takes as much as the one before.
    each = peak(2) - peak(1)
    most = model.layers if each <= 0 else min(model.layers, math.floor(1 + (room - peak(1)) / each))
    return most if most > training.keep_layers and peak(most) <= room else 0


def _state(spec: FineTuneRunSpec, trained: int, width: int, ranks: int) -> float:
    """Bytes of gradients and of the optimizer's state, as the ZeRO stage spreads them."""
    if spec.deepspeed.stage >= 2:
        return trained * (OPTIMIZER_BYTES + GRADIENT_BYTES) / ranks
    if spec.deepspeed.stage == 1:
        # Gradients whole on each rank, and in bf16 their sums in fp32 besides.
        return trained * (OPTIMIZER_BYTES / ranks + (width if width == 4 else width + 4))
    # The weights are in fp32 themselves, so there is no second copy of them.
    return float(trained * (OPTIMIZER_BYTES - 4 + width))


def _update_inputs(spec: FineTuneRunSpec, model: ModelFacts) -> int:
    """Bytes of a token and layer that are kept for the low-rank updates beside what the layer keeps anyway: their
    inputs where dropout, or another number format, makes them others."""
    width = update_width(spec)
    if spec.training.method == "full" or (width == width_of(spec) and not spec.lora.dropout):
        return 0
    return width * model.update_inputs(spec.lora.target_modules)


def _vision(spec: FineTuneRunSpec, model: ModelFacts, tokens: int) -> float:
    """Bytes of the vision tower's layer at work, for all pictures of a pass."""
    per_picture = spec.pixels.max_pixels // PATCH_PIXELS
    pictures = tokens if spec.training.packing else MOST_PICTURES * per_picture * spec.training.per_device_batch_size
    width = 4 if spec.training.precision == "fp32" else 2
    return float(PATCHES * min(tokens, pictures) * model.vision_hidden * VISION_BYTES * width / 2)
