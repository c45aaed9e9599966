"""Memory of a rank and hours of a run before a GPU is taken, from sizes alone.

What cannot work (weights and training state alone are more than a GPU holds) is told apart from what may not (the peak
of the longest sample is): the one is refused, the other said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fabula_api.fine_tune_blocks import Estimate
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.gpu_products import Gpu, gpu
from fabula_api.model_families import ModelFacts
from fabula_operator.plan.acceptance.advice import between_nodes, instead, safer
from fabula_operator.plan.acceptance.memory import CONTEXT_GIB, USABLE, Memory, layers_with_room, memory_of
from fabula_operator.plan.acceptance.model_facts import model_facts, of_size
from fabula_operator.plan.acceptance.step_time import hours, step_time, two_digits

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
    judged = _judged(spec, model, memory, card, estimate)
    if step is None or not (slow := between_nodes(spec, model, card, step)):
        return judged
    return replace(judged, message=f"{judged.message}; {slow}")


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
            f"{needs}, but {product} has {card.memory_gib:.1f} GiB; {instead(spec, model, card.memory_gib)}; "
            "preflight.policy warn starts it nevertheless"
        )
        return Preflight(estimate, "does not fit", message)
    if memory.peak > USABLE * card.memory_gib:
        what = "a packed sequence" if spec.training.packing else "a sample"
        message = (
            f"{needs} and {memory.peak:.1f} GiB for {what} of {spec.training.max_length} tokens, but {product} has "
            f"{card.memory_gib:.1f} GiB; {safer(spec, model, memory, USABLE * card.memory_gib)}"
        )
        return Preflight(estimate, "may not fit", message)
    message = f"{needs}, {memory.peak:.1f} GiB at the peak; {product} has {card.memory_gib:.1f}"
    if more := layers_with_room(spec, model, USABLE * card.memory_gib):
        message += f"; training.keepLayers {more} finds room too, and saves their recomputing"
    return Preflight(estimate, "fits", message)


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
