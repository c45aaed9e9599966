"""How long a step of training is expected to take, and so a run, from sizes alone; no GPU has measured it.

    seconds of a step = max(computing, between nodes)
    computing         = tokens of a rank x FLOPs of a token / (the card's bf16 peak x the share of it that is reached)
    between nodes     = bytes that a node takes in / bytes a second of its network

A trained run's own first steps say it better; until then it tells a slow cluster from a slow setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import Gpu
from fabula_api.model_families import ModelFacts
from fabula_operator.plan.acceptance.held import (
    held_bytes,
    trained_parameters,
    update_parameters,
    update_width,
    width_of,
)

REACHED, REACHED_PACKED = 0.45, 0.55
"""Share of the peak, with what is recomputed: samples of unequal length leave ranks waiting for each other, full
sequences do not. Large matrices in bf16 reach 60 to 70 %."""
PICTURES, TEXT_TOKENS = 5, 1200
"""A usual sample: pictures, and tokens of prompt and dialogue."""
PATCH_PIXELS = 1024
"""Pixels behind one picture token: patches of 16x16, merged 2x2."""
FP32 = 2
"""How many times as long a product in fp32 takes: by TF32, 156 teraflops of an A100's 312 by its data sheet."""
FILL = 0.95
"""How full packed sequences are."""
ETHERNET, RDMA = 10e9, 40e9
"""Bytes a second into a node: 100 Gbit/s at four fifths, and 400 past the kernel (`topology.rdma`) likewise."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one optimizer step, by what takes them; they overlap."""

    computing: float
    between_nodes: float

    @property
    def seconds(self) -> float:
        """Of the slower of both."""
        return max(self.computing, self.between_nodes)


def step_time(spec: FineTuneRunSpec, model: ModelFacts, card: Gpu | None) -> StepTime | None:
    """The expectation, or None where the card's speed is not known."""
    if card is None or card.teraflops is None or spec.training.precision != "bf16":
        return None
    training = spec.training
    rows = training.per_device_batch_size * training.gradient_accumulation_steps
    reached = REACHED_PACKED if training.packing else REACHED
    flops = rows * row_tokens(spec) * flops_of_a_token(spec, model)
    return StepTime(flops / (card.teraflops * 1e12 * reached), _between_nodes(spec, model))


def flops_of_a_token(spec: FineTuneRunSpec, model: ModelFacts) -> float:
    """Forward, and backward to the activations, 2 each; to the weights only where they are trained; and a second
    forward of the layers that are recomputed. An update in fp32 counts as many times as it takes longer."""
    passes = 4 + 2 * recomputed_layers(spec, model) / model.layers + 2 * (spec.training.method == "full")
    update = FP32 * (passes + 2) * update_parameters(spec, model) if update_width(spec) > width_of(spec) else 0.0
    return passes * model.active_parameters + update


def recomputed_layers(spec: FineTuneRunSpec, model: ModelFacts) -> int:
    """Layers whose activations are computed again in the backward pass."""
    if not spec.training.gradient_checkpointing:
        return 0
    return max(0, math.ceil(model.layers / spec.training.recompute_every) - spec.training.keep_layers)


def usual_tokens(spec: FineTuneRunSpec) -> int:
    """Of a sample."""
    return min(spec.training.max_length, PICTURES * spec.pixels.max_pixels // PATCH_PIXELS + TEXT_TOKENS)


def row_tokens(spec: FineTuneRunSpec) -> int:
    """Of a sample as it is computed, or of a packed sequence."""
    usual = usual_tokens(spec)
    return max(usual, round(FILL * spec.training.max_length)) if spec.training.packing else usual


def steps_of(spec: FineTuneRunSpec, samples: int | None) -> float | None:
    """Optimizer steps of the run; None while the number of samples is not known."""
    if spec.training.max_steps is not None:
        return float(spec.training.max_steps)
    if samples is None:
        return None
    rows = samples * spec.training.epochs
    if spec.training.packing:
        return rows * usual_tokens(spec) / row_tokens(spec) / spec.global_batch_size
    return float(math.ceil(rows / spec.global_batch_size))


def hours(spec: FineTuneRunSpec, model: ModelFacts, card: Gpu | None, samples: int | None) -> float | None:
    """Hours of training, or None while something is not known."""
    step, steps = step_time(spec, model, card), steps_of(spec, samples)
    return None if step is None or steps is None else two_digits(steps * step.seconds / 3600)


def two_digits(figure: float) -> float:
    """More would be claimed than is known."""
    return float(f"{figure:.2g}")


def gigabytes_between_nodes(spec: FineTuneRunSpec, model: ModelFacts) -> float:
    """GB that a node takes in for one step: gradients in each pass, below ZeRO-2 in the last alone, and under ZeRO-3
    the weights twice, or with `withinNode` those that are trained once."""
    passes = spec.training.gradient_accumulation_steps if spec.deepspeed.stage >= 2 else 1
    trained = trained_parameters(spec, model)
    weights = 2 * held_bytes(spec, model) if spec.deepspeed.stage == 3 else 0.0
    if spec.deepspeed.within_node:
        weights = float(trained * update_width(spec))
    return passes * (weights + trained * 4.0) / 1e9


def _between_nodes(spec: FineTuneRunSpec, model: ModelFacts) -> float:
    if spec.topology.nodes == 1:
        return 0.0
    return gigabytes_between_nodes(spec, model) * 1e9 / (RDMA if spec.topology.rdma else ETHERNET)
