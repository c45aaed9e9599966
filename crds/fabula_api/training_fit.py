"""Whether a training's model and dataset fit what is asked of them, as operator and worker both have to say it."""

from __future__ import annotations

from collections.abc import Collection

from fabula_api.fine_tune_run import FineTuneRunSpec, Lora


def unknown_targets(lora: Lora, layers: Collection[str], model: str) -> str | None:
    """Why the target modules are none of the model, whose linear layers these are; None where they are."""
    unknown = sorted(set(lora.target_modules) - set(layers))
    if not unknown:
        return None
    return f"lora.targetModules: {', '.join(unknown)} is no linear layer of {model}; it has {', '.join(sorted(layers))}"


def too_few(spec: FineTuneRunSpec, items: int, split: str = "the training split") -> str | None:
    """Why that many samples (with packing: sequences) are not enough for the run's batch, and what is; None when they
    are. With fewer than one pass takes over all ranks, some would be seen several times in what is called an epoch."""
    training, topology = spec.training, spec.topology
    ranks, size = topology.nodes * topology.gpus_per_node, training.per_device_batch_size
    if items >= ranks * size:
        return None
    what = "packed sequences" if training.packing else "samples"
    if items >= ranks:
        instead = f"set it to at most {items // ranks}"
    else:
        instead = f"use at most {items} ranks with perDeviceBatchSize 1, or a larger dataset"
    return (
        f"training.perDeviceBatchSize: a pass takes {ranks} ranks x {size} = {ranks * size} {what}, but {split} gives "
        f"{items}; {instead}"
    )
