"""Step arithmetic of a run: from sample count and batch settings to updates, warm-up and checkpoint steps.

One place, because the launcher, the sampler, the schedule and the status must agree to the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fabula_api.fine_tune_run import FineTuneRunSpec


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What a run will do. All counts are exact; `padding` items an epoch are seen twice so that ranks stay equal."""

    items: int
    """What a batch is made of: samples, or with packing the packed sequences."""
    world_size: int
    per_device_batch_size: int
    gradient_accumulation_steps: int
    batches: int
    """Forward passes of one rank in an epoch."""
    padding: int
    """Items taken a second time in an epoch, to fill its last batch over all ranks."""
    updates: int
    """Optimizer steps in an epoch; the last one may accumulate fewer batches."""
    steps: int
    """Optimizer steps in all."""
    warmup_steps: int
    checkpoint_steps: tuple[int, ...]
    """Steps after which a checkpoint is committed; the last step is always among them."""


def plan_steps(spec: FineTuneRunSpec, items: int) -> StepPlan:
    """The plan for that many usable samples, or packed sequences. Raises ValueError when there is none."""
    if items < 1:
        raise ValueError("no sample is left to train on")
    training = spec.training
    world_size = spec.topology.nodes * spec.topology.gpus_per_node
    global_batch = world_size * training.per_device_batch_size
    batches = math.ceil(items / global_batch)
    updates = math.ceil(batches / training.gradient_accumulation_steps)
    # The product can carry a rounding error upwards (0.1 * 30 is 3.0000000000000004), which would add a step.
    steps = training.max_steps or max(1, math.ceil(round(training.epochs * updates, 9)))
    every = spec.checkpoints.every_steps
    return StepPlan(
        items=items,
        world_size=world_size,
        per_device_batch_size=training.per_device_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        batches=batches,
        padding=batches * global_batch - items,
        updates=updates,
        steps=steps,
        warmup_steps=math.ceil(round(steps * training.warmup_ratio, 9))
        if training.warmup_steps is None
        else min(training.warmup_steps, steps),
        checkpoint_steps=tuple(sorted({*range(every, steps + 1, every), steps})),
    )
