"""What to change in a training that needs too much: of memory, or of the network between its nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import Gpu
from fabula_api.model_families import ModelFacts
from fabula_api.recipes import recipes
from fabula_api.recipes.kind_specs import unused_of
from fabula_api.training_memory import LIVE_PARAMETERS
from fabula_operator.plan.acceptance.memory import CONTEXT_GIB, GIB, USABLE, Memory, memory_of
from fabula_operator.plan.acceptance.step_time import StepTime, gigabytes_between_nodes


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


def safer(spec: FineTuneRunSpec, model: ModelFacts, memory: Memory, room: float) -> str:
    """What lowers the peak; where weights and state alone take the room, what makes them less."""
    if memory.least > room:
        return instead(spec, model, room)
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


def instead(spec: FineTuneRunSpec, model: ModelFacts, limit: float) -> str:
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
