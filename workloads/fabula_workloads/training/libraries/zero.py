"""DeepSpeed's ZeRO behind its interface (0.19): where a rank holds which part of a parameter and of its moments.

The places of its shards have no public accessor that copes with padding. Without ZeRO (stage 0) the optimizer is
torch's own, and each rank holds the whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch

MASTER, MOMENTS = "fp32", ("exp_avg", "exp_avg_sq")


class Part(NamedTuple):
    """A rank's cut of one flat parameter, or of a moment of it."""

    start: int
    """Place of its first element in the whole."""
    tensor: torch.Tensor
    """A view of the optimizer's own memory."""


def elements(parameter: Any) -> int:
    """Of the whole parameter; under ZeRO-3 it is empty outside of its pass, and knows its size by another name."""
    return int(parameter.ds_numel if hasattr(parameter, "ds_id") else parameter.numel())


def shape(parameter: Any) -> tuple[int, ...]:
    """Of the whole parameter."""
    return tuple(parameter.ds_shape if hasattr(parameter, "ds_id") else parameter.shape)


def gathered(parameters: list[Any]) -> AbstractContextManager[None]:
    """The whole parameters while it lasts; without ZeRO-3 they are whole anyway. All ranks enter it."""
    if not any(hasattr(parameter, "ds_id") for parameter in parameters):
        return nullcontext()  # an evaluation needs no DeepSpeed
    import deepspeed

    context: AbstractContextManager[None] = deepspeed.zero.GatheredParameters(parameters)
    return context


def own_part(zero: Any, parameter: Any, key: str) -> Part | None:
    """This rank's part of a parameter's fp32 weight (`MASTER`) or moment, without padding; None where it has none."""
    if _unsharded(zero):
        return Part(0, (parameter.data if key == MASTER else zero.state[parameter][key]).view(-1))
    state = None if key == MASTER else key
    if hasattr(parameter, "ds_id"):
        part, _ = zero._get_fp32_opt_state_partition(parameter, release_swap_buffers=False, optim_state_key=state)
        start = part.numel() * zero._get_param_partition_rank(parameter)
        real = min(part.numel(), parameter.ds_numel - start)  # the last ranks' end in padding
        return Part(start, part.data[:real]) if real > 0 else None
    mapping = parameter._hp_mapping
    if mapping is None:
        return None
    # The mapping's own link to the moments is made after the first group's step, when the other groups have none.
    flat = _flat_groups(zero)[mapping.param_group_index]
    held = flat if state is None else zero.optimizer.state[flat][state]
    place = mapping.hp_fragment_address
    return Part(mapping.lp_fragment_address.start, held.data.narrow(0, place.start, place.numel))


def steps(zero: Any) -> int:
    """Updates that the optimizer has made."""
    if _unsharded(zero):
        return int(zero.state[_flat_groups(zero)[0]]["step"])
    return int(zero.optimizer.state[_flat_groups(zero)[0]]["step"])


def make_state(zero: Any, step: int) -> None:
    """AdamW makes its state in its first step; here it has to be there before."""
    state = zero.state if _unsharded(zero) else zero.optimizer.state
    for flat in _flat_groups(zero):
        moments = {key: torch.zeros_like(flat) for key in MOMENTS}
        state[flat] = {"step": torch.tensor(float(step)), **moments}


@contextmanager
def rewriting(engine: Any) -> Iterator[None]:
    """While it lasts the parts of `own_part` may be written; then the model's weights are those of the optimizer."""
    zero, sharded = engine.optimizer, engine.zero_optimization_stage() == 3
    if _unsharded(zero):
        yield
        return
    if sharded:
        zero.checkpoint_event_prologue()
    yield
    if sharded:
        for group in range(len(zero.fp16_groups)):
            zero._reassign_or_swap_out_partitioned_parameters(group)
        # A node's own shards (hpZ) are those of the weights before.
        zero.invalidate_secondary_tensor()
        zero.checkpoint_event_epilogue()
    else:
        zero.update_lp_params()


_AT_ONCE = 2**24
"""Elements of trained weights that are gathered together."""


def trained_weights(engine: Any) -> dict[str, torch.Tensor] | None:
    """Under ZeRO-3 the trained weights on the first rank, whole; all ranks call it.

    DeepSpeed's own way gathers the frozen weights as well, and sends each whole from the first rank to all.
    """
    first = torch.distributed.get_rank() == 0
    state: dict[str, torch.Tensor] = {}
    trained = [(name, parameter) for name, parameter in engine.module.named_parameters() if parameter.requires_grad]
    engine.optimizer.checkpoint_event_prologue()
    for group in _groups(trained):
        with gathered([parameter for _, parameter in group]):
            if first:
                state |= {name: parameter.detach().to("cpu", copy=True) for name, parameter in group}
    engine.optimizer.checkpoint_event_epilogue()
    return state if first else None


def _groups(trained: list[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """In order, each of at most `_AT_ONCE` elements or of one parameter."""
    group: list[tuple[str, Any]] = []
    for name, parameter in trained:
        if group and sum(elements(held) for _, held in group) + elements(parameter) > _AT_ONCE:
            yield group
            group = []
        group.append((name, parameter))
    if group:
        yield group


def without_compiled_collectives() -> None:
    """Compiling this op takes most of a minute and a compiler; gloo gives the same losses without it."""
    import deepspeed

    compatible: Any = deepspeed.ops.__compatible_ops__
    compatible["deepspeed_shm_comm"] = False


def without_markers() -> None:
    """DeepSpeed marks each of its calls for a GPU's profiler, thousands a step; a CPU's marks go nowhere."""
    from deepspeed.utils import nvtx

    nvtx.enable_nvtx = False


def keep_signatures(engine: Any) -> None:
    """Under ZeRO-3 each call of each module passes two autograd functions, and torch asks each time for their
    signatures. `inspect` takes the one that a function has at hand."""
    for module in engine.module.modules():
        for name in ("pre_bwd_fn", "post_bwd_fn"):
            if hook := module.__dict__.get(name):
                hook.forward.__signature__ = inspect.signature(hook.forward)


def keep_norms(engine: Any) -> None:
    """Without ZeRO DeepSpeed forgets how long the gradients were: have it kept, as they were before clipping."""
    if not _unsharded(engine.optimizer):
        return
    clip, trained = engine.clip_fp32_gradients, _flat_groups(engine.optimizer)

    def keep() -> None:
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        engine._global_grad_norm = torch.nn.utils.get_total_norm(gradients)

    def keep_and_clip() -> None:
        keep()
        clip()

    if engine.gradient_clipping():
        engine.clip_fp32_gradients = keep_and_clip
    else:
        engine.optimizer.register_step_pre_hook(lambda *_: keep())


def is_needed(zero: Any, rank: int) -> bool:
    """Whether a checkpoint needs this rank's parts: without ZeRO all hold the same, and the first one's will do."""
    return rank == 0 or not _unsharded(zero)


def _unsharded(zero: Any) -> bool:
    """Whether the engine's optimizer is the one that it was given."""
    return isinstance(zero, torch.optim.Optimizer)


_SHARDS = ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition")
"""Under ZeRO-3; under ZeRO-2, and 1 in fp32; under ZeRO-1 in bf16, which has an optimizer of its own."""


def _flat_groups(zero: Any) -> list[Any]:
    """This rank's fp32 shards, or its parameters: what the optimizer has state for."""
    if _unsharded(zero):
        return [parameter for group in zero.param_groups for parameter in group["params"]]
    return list(next(getattr(zero, name) for name in _SHARDS if hasattr(zero, name)))
