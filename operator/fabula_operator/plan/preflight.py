"""Memory of a rank and hours of a run before a GPU is taken, from sizes alone.

What cannot work (weights and training state alone are more than a GPU holds) is told apart from what may not (the peak
of the longest sample is): the one is refused, the other said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fabula_api.fine_tune_blocks import Estimate
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import Gpu, gpu
from fabula_operator.plan.model_facts import ModelFacts, model_facts, of_size

GIB = 1024**3
CONTEXT_GIB = 1.5
"""CUDA context, cuBLAS workspaces and NCCL's buffers."""
LIVE_PARAMETERS = 1_000_000_000
"""Parameters that ZeRO-3 keeps gathered at once (`stage3_max_live_parameters`)."""
OPTIMIZER_BYTES = 12
"""fp32 master weight and AdamW's two moments, for each trainable parameter."""
LAYER_BYTES = 34
"""Activations of one layer for each token and hidden unit, in bf16 with fused attention (Korthikanti et al., 2022)."""
LOGIT_BYTES = 12
"""bf16 logits, their fp32 copy, and the gradients of both."""
USABLE = 0.95
"""Share of a GPU's memory that fragmentation leaves at the peak."""
UTILISATION = 0.3
"""Share of the peak that the hours assume."""
PICTURES, TEXT_TOKENS = 5, 1200
"""A usual sample: pictures, and tokens of prompt and dialogue."""
PATCH_PIXELS = 1024
"""Pixels behind one picture token: patches of 16x16, merged 2x2."""


@dataclass(frozen=True, slots=True)
class Memory:
    """GiB of one rank, by what takes them."""

    weights: float
    gathered: float
    state: float
    activations: float
    logits: float

    @property
    def least(self) -> float:
        """Without which no step can be made."""
        return self.weights + self.gathered + self.state + CONTEXT_GIB

    @property
    def peak(self) -> float:
        """In the backward pass of the longest sample."""
        return self.least + self.activations + self.logits


Verdict = Literal["fits", "may not fit", "does not fit", "unknown"]


@dataclass(frozen=True, slots=True)
class Preflight:
    """The estimate, what it means, and that in a sentence."""

    estimate: Estimate
    verdict: Verdict
    message: str


def preflight(spec: FineTuneRunSpec, samples: int | None = None) -> Preflight | None:
    """The estimate of a run; None where there is nothing to estimate: on CPUs, or with the policy `off`."""
    if spec.topology.device != "cuda" or spec.preflight.policy == "off":
        return None
    if spec.template.foreign:
        note = "not estimated: spec.template.command decides what is trained, and how"
        return Preflight(Estimate(note=note), "unknown", note)
    name = spec.model.name or spec.model.uri or ""
    billions = spec.preflight.billion_parameters
    model = of_size(billions) if billions is not None else model_facts(name)
    if model is None:
        note = f"{name} is not a model whose size is known; set preflight.billionParameters for an estimate"
        return Preflight(Estimate(note=note[:1024]), "unknown", note)
    product = spec.topology.product
    card = gpu(product) if product else None
    memory = memory_of(spec, model, spec.deepspeed.stage)
    estimate = Estimate(
        least_gib=round(memory.least, 1),
        memory_gib=round(memory.peak, 1),
        available_gib=card.memory_gib if card else None,
        hours=hours(spec, model, card, samples),
        note=_note(spec, model, memory),
    )
    return _judged(spec, model, memory, card, estimate)


def memory_of(spec: FineTuneRunSpec, model: ModelFacts, stage: int) -> Memory:
    """GiB of one rank under a ZeRO stage."""
    training, ranks = spec.training, spec.topology.nodes * spec.topology.gpus_per_node
    width = 4 if training.precision == "fp32" else 2
    offload = spec.deepspeed.offload
    trainable = model.lora_parameters(spec.lora.rank, spec.lora.target_modules)
    held = (model.parameters + trainable) * width
    weights, gathered = float(held), 0.0
    if stage == 3:
        weights = 0.0 if offload == "all" else held / ranks
        gathered = min(LIVE_PARAMETERS, model.parameters) * width if ranks > 1 or offload == "all" else 0.0
    optimizer = trainable * OPTIMIZER_BYTES / ranks if offload == "none" else 0.0
    state = optimizer + trainable * width / ranks
    tokens = training.per_device_batch_size * training.max_length
    layer = LAYER_BYTES * tokens * model.hidden * width / 2
    # With checkpointing only each layer's input is kept, and one layer is computed anew at a time.
    kept = model.layers * tokens * model.hidden * width + layer
    activations = kept if training.gradient_checkpointing else model.layers * layer
    logits = tokens * model.vocabulary * LOGIT_BYTES
    return Memory(*(amount / GIB for amount in (weights, gathered, state, activations, logits)))


def hours(spec: FineTuneRunSpec, model: ModelFacts, card: Gpu | None, samples: int | None) -> float | None:
    """Hours of training, or None while something is not known."""
    training, ranks = spec.training, spec.topology.nodes * spec.topology.gpus_per_node
    if card is None or card.teraflops is None or training.precision != "bf16":
        return None
    batch = training.per_device_batch_size * training.gradient_accumulation_steps * ranks
    steps = training.max_steps
    if steps is None:
        if samples is None:
            return None
        steps = math.ceil(samples * training.epochs / batch)
    tokens = min(training.max_length, PICTURES * spec.pixels.max_pixels // PATCH_PIXELS + TEXT_TOKENS)
    # Forward, and backward to the activations only: frozen weights have no gradient. Recomputing is a second forward.
    passes = 6 if training.gradient_checkpointing else 4
    flops = float(steps * batch * tokens) * passes * model.active_parameters
    return float(f"{flops / (ranks * card.teraflops * 1e12 * UTILISATION) / 3600:.2g}")


def _judged(
    spec: FineTuneRunSpec, model: ModelFacts, memory: Memory, card: Gpu | None, estimate: Estimate
) -> Preflight:
    product = spec.topology.product
    needs = f"{model.label}: each rank needs at least {memory.least:.1f} GiB ({_parts(spec, memory)})"
    if card is None:
        why = f"the memory of {product} is not known" if product else "topology.product is not given"
        return Preflight(estimate, "unknown", f"{needs}; {why}, so it is not compared")
    if memory.least > card.memory_gib:
        message = f"{needs}, but {product} has {card.memory_gib:.1f} GiB; {_instead(spec, model, card)}"
        return Preflight(estimate, "does not fit", message)
    if memory.peak > USABLE * card.memory_gib:
        message = (
            f"{needs} and {memory.peak:.1f} GiB for a sample of {spec.training.max_length} tokens, but {product} has "
            f"{card.memory_gib:.1f} GiB; a lower training.maxLength or perDeviceBatchSize makes it safe"
        )
        return Preflight(estimate, "may not fit", message)
    return Preflight(
        estimate, "fits", f"{needs}, {memory.peak:.1f} GiB at the peak; {product} has {card.memory_gib:.1f}"
    )


def _instead(spec: FineTuneRunSpec, model: ModelFacts, card: Gpu) -> str:
    """What would work, as far as the numbers tell."""
    override = "preflight.policy warn starts it nevertheless"
    if spec.deepspeed.stage == 2:
        sharded = memory_of(spec, model, 3)
        if sharded.least <= card.memory_gib:
            return f"deepspeed.stage 3 needs {sharded.least:.1f} GiB; {override}"
    ranks = spec.topology.nodes * spec.topology.gpus_per_node
    whole = memory_of(spec, model, 3)
    spread = (whole.weights + whole.state) * ranks
    room = card.memory_gib - CONTEXT_GIB - whole.gathered
    if room <= 0:
        return f"use a GPU with more memory; {override}"
    return f"deepspeed.stage 3 on {math.ceil(spread / room)} such GPUs or more would hold it; {override}"


def _parts(spec: FineTuneRunSpec, memory: Memory) -> str:
    every = ", all of them on every rank" if spec.deepspeed.stage == 2 else ""
    gathered = f", {memory.gathered:.1f} gathered layers" if memory.gathered else ""
    return (
        f"{memory.weights:.1f} weights under ZeRO-{spec.deepspeed.stage}{every}{gathered}, "
        f"{memory.state:.1f} gradients and optimizer, {CONTEXT_GIB} CUDA"
    )


def _note(spec: FineTuneRunSpec, model: ModelFacts, memory: Memory) -> str:
    return (
        f"{model.label}, {model.parameters / 1e9:.1f} billion parameters: {_parts(spec, memory)}, "
        f"{memory.activations:.1f} activations and {memory.logits:.1f} logits at {spec.training.max_length} tokens"
    )
