"""The DeepSpeed config, rendered from the spec and checked against it.

DeepSpeed does what its own config says and nothing else: a Trainer's max_grad_norm without `gradient_clipping` clips
nothing, in silence. So the config is written here in full, without "auto", and what the spec asks is looked up in it.
"""

from __future__ import annotations

from typing import Any

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.training_memory import LIVE_PARAMETERS

_PERSISTENT = 100_000
"""Elements up to which a parameter stays on every rank: gathering norms costs more than it frees."""


def render(spec: FineTuneRunSpec, hidden_size: int, widest_target: int = 0) -> dict[str, Any]:
    """The config for a run of a model whose language part is `hidden_size` wide, and `widest_target` the longer side of
    the largest matrix that gets a low-rank update. Pure."""
    training, topology = spec.training, spec.topology
    world_size = topology.nodes * topology.gpus_per_node
    cuda = topology.device == "cuda"
    factors = spec.lora.rank * widest_target if training.method == "lora" else 0
    zero: dict[str, Any] = {"stage": spec.deepspeed.stage}
    if spec.deepspeed.stage > 0:
        zero |= {
            "overlap_comm": cuda,
            "contiguous_gradients": True,
            "reduce_bucket_size": max(hidden_size * hidden_size, 500_000),
        }
    if spec.deepspeed.stage == 3:
        zero |= {
            "sub_group_size": 1_000_000_000,
            "stage3_prefetch_bucket_size": max(int(0.9 * hidden_size * hidden_size), 500_000),
            # A low-rank factor that is gathered beside a frozen matrix has DeepSpeed copy all of both into place.
            "stage3_param_persistence_threshold": max(10 * hidden_size, _PERSISTENT, factors),
            "stage3_max_live_parameters": LIVE_PARAMETERS,
            "stage3_max_reuse_distance": 1_000_000_000,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    if spec.deepspeed.within_node:
        zero["zero_hpz_partition_size"] = topology.gpus_per_node
    if spec.deepspeed.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": cuda}
    if spec.deepspeed.offload == "all":
        zero["offload_param"] = {"device": "cpu", "pin_memory": cuda}
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": training.per_device_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "train_batch_size": training.per_device_batch_size * training.gradient_accumulation_steps * world_size,
        # Nothing else clips under DeepSpeed, neither Trainer nor accelerate; 0 means off.
        "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": _casts(spec)},
        "fp16": {"enabled": False},
        "zero_optimization": zero,
        # Trainer brings torch's AdamW; without this, offloading would insist on a compiled one of DeepSpeed's.
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }
    if training.precision == "bf16":
        # Passes of a step and ranks are added up in fp32: bf16 has 8 bits, of which the last of 32 sums loses five.
        config |= {"data_types": {"grad_accum_dtype": "fp32"}, "communication_data_type": "fp32"}
    if topology.nodes > 1:
        # Each pod saves to its own disk, so every node must make its folders itself.
        config["checkpoint"] = {"use_node_local_storage": True}
    return config


def _casts(spec: FineTuneRunSpec) -> bool:
    """Whether DeepSpeed brings all weights to bf16. An update in fp32 must stay what it is. Under ZeRO-3 it does: only
    weights that are sharded while they are loaded, the base's, are brought to it. Under the other stages all would be,
    and the base comes in bf16 by itself."""
    return spec.training.precision == "bf16" and (spec.lora.precision is None or spec.deepspeed.stage == 3)


def problems(config: dict[str, Any], spec: FineTuneRunSpec) -> list[str]:
    """What the spec asks for and `config` would not do: field, both values, and what to change. Empty when nothing."""
    training = spec.training
    unmet: list[str] = []
    clipping = config.get("gradient_clipping", 0)
    if clipping != training.max_grad_norm:
        unmet.append(
            f"training.maxGradNorm is {training.max_grad_norm:g}, but the DeepSpeed config has "
            f"gradient_clipping {clipping!r}: set it to {training.max_grad_norm:g}"
        )
    world_size = spec.topology.nodes * spec.topology.gpus_per_node
    micro, accumulation = config.get("train_micro_batch_size_per_gpu"), config.get("gradient_accumulation_steps")
    wanted = (training.per_device_batch_size, training.gradient_accumulation_steps)
    if (micro, accumulation) != wanted:
        unmet.append(
            f"training asks for batches of {wanted[0]} with {wanted[1]} accumulations, but the DeepSpeed config has "
            f"train_micro_batch_size_per_gpu {micro!r} and gradient_accumulation_steps {accumulation!r}"
        )
    elif config.get("train_batch_size") != wanted[0] * wanted[1] * world_size:
        unmet.append(
            f"train_batch_size is {config.get('train_batch_size')!r}, but {wanted[0]} x {wanted[1]} accumulations x "
            f"{world_size} ranks is {wanted[0] * wanted[1] * world_size}"
        )
    bf16, fp16 = (bool(config.get(name, {}).get("enabled")) for name in ("bf16", "fp16"))
    if bf16 != _casts(spec) or fp16:
        update = f" and lora.precision {spec.lora.precision}" if spec.lora.precision else ""
        unmet.append(
            f"training.precision is {training.precision}{update}, but the DeepSpeed config has bf16 {bf16} and fp16 "
            f"{fp16}: set bf16 to {_casts(spec)} and fp16 to False"
        )
    if training.precision == "bf16":
        accumulated, sent = config.get("data_types", {}).get("grad_accum_dtype"), config.get("communication_data_type")
        if (accumulated, sent) != ("fp32", "fp32"):
            unmet.append(
                f"training.precision is bf16, whose gradients are added up in fp32, but the DeepSpeed config has "
                f"data_types.grad_accum_dtype {accumulated!r} and communication_data_type {sent!r}: set both to fp32"
            )
    zero = config.get("zero_optimization", {})
    stage = zero.get("stage")
    if stage != spec.deepspeed.stage:
        unmet.append(
            f"deepspeed.stage is {spec.deepspeed.stage}, but the config's zero_optimization.stage is {stage!r}"
        )
    within = spec.topology.gpus_per_node if spec.deepspeed.within_node else 1
    if zero.get("zero_hpz_partition_size", 1) != within:
        unmet.append(
            f"deepspeed.withinNode is {str(spec.deepspeed.within_node).lower()}, but the config's "
            f"zero_hpz_partition_size is {zero.get('zero_hpz_partition_size')!r}: set it to {within}"
        )
    offload = spec.deepspeed.offload
    if offload == "all" and stage != 3:
        unmet.append("deepspeed.offload is all, but only stage 3 moves weights; use offload optimizer, or stage 3")
    for name, wanted_there in (("offload_optimizer", offload != "none"), ("offload_param", offload == "all")):
        if (zero.get(name, {}).get("device", "none") != "none") != wanted_there:
            unmet.append(
                f"deepspeed.offload is {offload}, but the config's zero_optimization.{name} is {zero.get(name)!r}"
            )
    return unmet
