"""The optimizer's state as one file, whole: any number of ranks can go on from it, under either ZeRO stage.

DeepSpeed's own checkpoints hold each rank's shard, and open only for as many ranks as wrote them. With LoRA the state
is small (12 bytes a trained parameter), so gathering it costs little, and storing it once is less than the shards.
The places of DeepSpeed's shards have no public setter that copes with padding; its version is pinned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state
from safetensors import safe_open
from safetensors.torch import save_file

from fabula_workloads.runtime.failures import InputInvalid

FILE = "optimizer.safetensors"
_MASTER, _MOMENTS = "fp32", ("exp_avg", "exp_avg_sq")


def save(engine: Any, folder: Path, *, write: bool) -> None:
    """Gather weights in fp32 and AdamW's moments of every trained parameter. All ranks take part; one has `write`."""
    whole: dict[str, torch.Tensor] = {}
    for name, parameter in _trained(engine):
        gathered = {_MASTER: safe_get_full_fp32_param(parameter)}
        gathered |= {key: safe_get_full_optimizer_state(parameter, key) for key in _MOMENTS}
        if write:
            # A copy: what ZeRO-3 gathers may be a view into a buffer that the next parameter reuses.
            whole |= {f"{name}/{key}": tensor.detach().to("cpu", copy=True) for key, tensor in gathered.items()}
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(whole, folder / FILE, metadata={"step": str(_steps(engine.optimizer))})


def restore(engine: Any, folder: Path) -> None:
    """Give every rank its part of what `save` wrote. Raises InputInvalid when it is of other parameters."""
    zero = engine.optimizer
    with safe_open(folder / FILE, framework="pt") as file:
        names = {f"{name}/{key}" for name, _ in _trained(engine) for key in (_MASTER, *_MOMENTS)}
        if different := sorted(names ^ set(file.keys())):
            raise InputInvalid(
                f"the checkpoint is of other trained parameters than the run's: {different[0]} and "
                f"{len(different) - 1} more are in one of them only"
            )
        _make_state(zero, torch.tensor(float(file.metadata()["step"])))
        sharded = engine.zero_optimization_stage() == 3
        if sharded:
            zero.checkpoint_event_prologue()
        for name, parameter in _trained(engine):
            for key in (None, *_MOMENTS):
                value = file.get_tensor(f"{name}/{key or _MASTER}")
                _set_part(zero, parameter, value, key, sharded=sharded)
        if sharded:
            for group in range(len(zero.fp16_groups)):
                zero._reassign_or_swap_out_partitioned_parameters(group)
            zero.checkpoint_event_epilogue()
        else:
            zero.update_lp_params()


def _trained(engine: Any) -> Iterator[tuple[str, Any]]:
    return ((name, p) for name, p in engine.module.named_parameters() if p.requires_grad)


def _flat_groups(zero: Any) -> list[Any]:
    """This rank's fp32 shards, which are what the optimizer has state for."""
    found = getattr(zero, "fp32_partitioned_groups_flat", None)
    return list(zero.single_partition_of_fp32_groups if found is None else found)


def _steps(zero: Any) -> int:
    return int(zero.optimizer.state[_flat_groups(zero)[0]]["step"])


def _make_state(zero: Any, step: torch.Tensor) -> None:
    """AdamW makes its state in its first step; here it has to be there before."""
    for flat in _flat_groups(zero):
        zero.optimizer.state[flat] = {"step": step.clone(), **{key: torch.zeros_like(flat) for key in _MOMENTS}}
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._lazy_init_hp_params_optimizer_state()


def _set_part(zero: Any, parameter: Any, value: torch.Tensor, key: str | None, *, sharded: bool) -> None:
    """Copy this rank's part of a whole tensor into its shard; `key` None is the weight itself."""
    if not sharded:
        parameter.set_full_hp_param(value, key)
        return
    part, _ = zero._get_fp32_opt_state_partition(parameter, release_swap_buffers=False, optim_state_key=key)
    start = part.numel() * zero._get_param_partition_rank(parameter)
    own = value.flatten()[start : start + part.numel()]  # the last ranks' end in padding
    part.data.zero_()
    part.data[: own.numel()].copy_(own)
