"""Memory of a rank and hours of a run before a GPU is taken, from sizes alone.

What cannot work (weights and training state alone are more than a GPU holds) is told apart from what may not (the peak
of the longest sample is): the one is refused, the other said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from fabula_api.fine_tune_blocks import Estimate
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import Gpu, gpu
from fabula_api.model_families import ModelFacts
from fabula_api.recipes import recipes
from fabula_api.recipes.kind_specs import unused_of
from fabula_api.training_memory import LIVE_PARAMETERS, LOGITS_AT_ONCE
from fabula_operator.plan.acceptance.held import held_bytes, trained_parameters, update_width, width_of
from fabula_operator.plan.acceptance.model_facts import model_facts, of_size
from fabula_operator.plan.acceptance.step_time import (
    PATCH_PIXELS,
    StepTime,
    gigabytes_between_nodes,
    hours,
    recomputed_layers,
    step_time,
    two_digits,
)

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
    memory = memory_of(spec, model)
    step = step_time(spec, model, card)
    estimate = Estimate(
        step_seconds=two_digits(step.seconds) if step else None,
        least_gib=round(memory.least, 1),
        memory_gib=round(memory.peak, 1),
        available_gib=card.memory_gib if card else None,
        hours=hours(spec, model, card, samples),
        note=_note(spec, model, memory),
    )
    made = _judged(spec, model, memory, card, estimate)
    if step is None or not (slow := between_nodes(spec, model, card, step)):
        return made
    return replace(made, message=f"{made.message}; {slow}")


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


def _judged(
    spec: FineTuneRunSpec, model: ModelFacts, memory: Memory, card: Gpu | None, estimate: Estimate
) -> Preflight:
    product = spec.topology.product
    needs = f"{model.label}: each rank needs at least {memory.least:.1f} GiB ({_parts(spec, memory)})"
    if card is None:
        why = f"the memory of {product} is not known" if product else "topology.product is not given"
        return Preflight(estimate, "unknown", f"{needs}; {why}, so it is not compared")
    if memory.least > card.memory_gib:
        message = (
            f"{needs}, but {product} has {card.memory_gib:.1f} GiB; {_instead(spec, model, card.memory_gib)}; "
            "preflight.policy warn starts it nevertheless"
        )
        return Preflight(estimate, "does not fit", message)
    if memory.peak > USABLE * card.memory_gib:
        what = "a packed sequence" if spec.training.packing else "a sample"
        message = (
            f"{needs} and {memory.peak:.1f} GiB for {what} of {spec.training.max_length} tokens, but {product} has "
            f"{card.memory_gib:.1f} GiB; {_safer(spec, model, memory, USABLE * card.memory_gib)}"
        )
        return Preflight(estimate, "may not fit", message)
    message = f"{needs}, {memory.peak:.1f} GiB at the peak; {product} has {card.memory_gib:.1f}"
    if more := layers_with_room(spec, model, USABLE * card.memory_gib):
        message += f"; training.keepLayers {more} finds room too, and saves their recomputing"
    return Preflight(estimate, "fits", message)


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


def between_nodes(spec: FineTuneRunSpec, model: ModelFacts, card: Gpu | None, step: StepTime) -> str | None:
    """What to do about a network that takes longer than computing; None where it does not."""
    if step.between_nodes <= step.computing:
        return None
    said = (
        f"between its nodes {gigabytes_between_nodes(spec, model):.0f} GB travel in each step, expected to take "
        f"{step.between_nodes:.0f} s beside {step.computing:.0f} s of computing"
    )
    ways = []
    whole = _with(spec, stage=2)
    if spec.deepspeed.stage == 3 and spec.deepspeed.offload != "all" and card is not None:
        memory = memory_of(whole, model)
        if memory.peak <= USABLE * card.memory_gib:
            sent = gigabytes_between_nodes(whole, model)
            ways.append(f"deepspeed.stage 2 sends {sent:.1f} GB and needs {memory.peak:.1f} GiB at the peak")
    near = _with(spec, stage=3, within_node=True)
    if (
        not (spec.deepspeed.within_node or ways)
        and spec.deepspeed.offload != "all"
        and spec.topology.gpus_per_node > 1
        and spec.lora.quantization == "none"
        and card is not None
    ):
        memory = memory_of(near, model)
        if memory.peak <= USABLE * card.memory_gib:
            sent = gigabytes_between_nodes(near, model)
            ways.append(f"deepspeed.withinNode sends {sent:.1f} GB and needs {memory.peak:.1f} GiB at the peak")
    if spec.topology.rdma is None:
        ways.append("topology.rdma, where the cluster has such a network, brings it past the kernel")
    ways.append("a larger perDeviceBatchSize with fewer gradientAccumulationSteps, or fewer nodes, sends less")
    return f"{said}; {', or '.join(ways[:2])}"


def _safer(spec: FineTuneRunSpec, model: ModelFacts, memory: Memory, room: float) -> str:
    """What lowers the peak; where weights and state alone take the room, what makes them less."""
    if memory.least > room:
        return _instead(spec, model, room)
    levers = ["a lower training.maxLength or perDeviceBatchSize"]
    if spec.deepspeed.stage < 3:
        levers.insert(0, "deepspeed.stage 3")
    if not spec.training.gradient_checkpointing:
        levers.insert(0, "training.gradientCheckpointing")
    elif spec.training.recompute_every > 1:
        levers.insert(0, "training.recomputeEvery 1")
    elif spec.training.keep_layers:
        levers.insert(0, "training.keepLayers 0")
    if spec.training.method == "full" and spec.deepspeed.offload == "none":
        levers.insert(0, "deepspeed.offload optimizer")
    return f"{', or '.join(levers)} makes it safe"


def _instead(spec: FineTuneRunSpec, model: ModelFacts, limit: float) -> str:
    """What would need at most so many GiB, as far as the numbers tell."""
    ways = []
    for words, change in _changes(spec, model):
        memory = memory_of(change, model)
        if memory.least <= limit:
            host = f" and {memory.host:.0f} GiB of CPU memory in each pod" if memory.host else ""
            ways.append(f"{words} needs {memory.least:.1f} GiB{host}")
            break
    ranks = spec.topology.nodes * spec.topology.gpus_per_node
    whole = memory_of(_with(spec, stage=3, offload="none"), model)
    spread = (whole.weights + whole.state) * ranks
    room = (
        limit
        - CONTEXT_GIB
        - max(LIVE_PARAMETERS, model.expert_parameters) * (4 if spec.training.precision == "fp32" else 2) / GIB
    )
    if room > 0 and whole.unsharded + CONTEXT_GIB <= limit and (enough := math.ceil(spread / room)) > ranks:
        ways.append(f"deepspeed.stage 3 on {enough} such GPUs or more holds it")
    return ", or ".join(ways) or "use a GPU with more memory"


def _changes(spec: FineTuneRunSpec, model: ModelFacts) -> Iterator[tuple[str, FineTuneRunSpec]]:
    """What may be changed to need less on as many GPUs, from what costs the least time to what costs the most."""
    if spec.deepspeed.stage < 3:
        yield "deepspeed.stage 3", _with(spec, stage=3)
    lora = spec.training.method == "lora"
    recipe = recipes().get(spec.recipe)
    whole_bits = recipe is not None and "lora.quantization" in unused_of(recipe, "FineTuneRun")
    if lora and not whole_bits and not model.experts and spec.lora.quantization == "none":
        smaller = spec.replace(lora=spec.lora.replace(quantization="nf4"))
        yield "lora.quantization nf4", smaller
        yield "lora.quantization nf4 with deepspeed.stage 3", _with(smaller, stage=3)
    if not lora:
        yield "deepspeed.stage 3 with offload optimizer", _with(spec, stage=3, offload="optimizer")
        tuned = spec.replace(training=spec.training.replace(method="lora"))
        yield "training.method lora", _with(tuned, stage=3)
    if spec.lora.quantization == "nf4":
        whole = spec.replace(lora=spec.lora.replace(quantization="none"))
        yield "lora.quantization none with deepspeed.stage 3", _with(whole, stage=3)
    yield "deepspeed.stage 3 with offload all", _with(spec, stage=3, offload="all")


def _with(spec: FineTuneRunSpec, **deepspeed: object) -> FineTuneRunSpec:
    return spec.replace(deepspeed=spec.deepspeed.replace(**deepspeed))


def _parts(spec: FineTuneRunSpec, memory: Memory) -> str:
    stage = spec.deepspeed.stage
    under = f"under ZeRO-{stage}" if stage else "without ZeRO"
    every = ", all of them on every rank" if stage < 3 else ""
    gathered = f", {memory.gathered:.1f} gathered layers" if memory.gathered else ""
    held = " in 4 bits" if spec.lora.quantization == "nf4" else ""
    first = f", {memory.unsharded:.1f} until they are sharded" if memory.unsharded else ""
    return (
        f"{memory.weights:.1f} weights{held} {under}{every}{first}{gathered}, "
        f"{memory.state:.1f} gradients and optimizer, {CONTEXT_GIB} CUDA"
    )


def _note(spec: FineTuneRunSpec, model: ModelFacts, memory: Memory) -> str:
    host = f"; {memory.host:.1f} in each pod's CPU memory by deepspeed.offload" if memory.host else ""
    return (
        f"{model.label}, {model.parameters / 1e9:.1f} billion parameters: {_parts(spec, memory)}, "
        f"{memory.activations:.1f} activations and {memory.logits:.1f} logits "
        f"at {spec.training.max_length} tokens{host}"
    )
