"""A low-rank update that bf16 does not round away: held and computed in fp32, and summed inside its layer's product.

peft computes an update in fp32 too where its weights are fp32, but adds it to a product that was rounded to bf16
before. Where it is less than half a step of bf16, the sum is that product again: of an update as small as the published
one most is lost, in training and after. Here the product begins with the update in its accumulators and is rounded
once. What is rounded away from one sum is then rounded into another, and on average all of it is there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch


def compute_in_fp32(model: Any) -> None:
    """Let a peft model's low-rank updates be fp32 and be added before their layers' products are rounded.

    Before DeepSpeed sees the model. The layers below the updates must be frozen. Raises ValueError for one whose
    product is not torch's own, as with weights in 4 bits.
    """
    from peft.tuners.lora import Linear, LoraLayer

    for name, layer in model.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        base: Any = layer.get_base_layer()
        if type(layer) is not Linear or type(base) is not torch.nn.Linear:
            raise ValueError(f"{name} is a {type(base).__name__}, whose product is rounded before anything is added")
        for factor in (*layer.lora_A.values(), *layer.lora_B.values()):
            factor.float()
        # The modules stay and only their forwards are others: ZeRO-3 gathers weights in hooks around them.
        base.forward = partial(_product, base)  # type: ignore[method-assign]
        layer.forward = partial(_with_updates, layer)


def _with_updates(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    names = () if layer.disable_adapters or layer.merged else layer.active_adapters
    update: torch.Tensor | None = None
    for name in names:
        if name in layer.lora_A:
            dropped = layer.lora_dropout[name](hidden.float())
            low_rank = layer.lora_B[name](layer.lora_A[name](dropped)) * layer.scaling[name]
            update = low_rank if update is None else update + low_rank
    result: torch.Tensor = layer.base_layer(hidden, update)
    return result


def _product(linear: torch.nn.Linear, hidden: torch.Tensor, update: torch.Tensor | None = None) -> torch.Tensor:
    if update is None:
        return torch.nn.functional.linear(hidden, linear.weight, linear.bias)
    if linear.bias is not None:
        update = update + linear.bias
    result: torch.Tensor = _RoundedOnce.apply(hidden, linear.weight, update)  # type: ignore[no-untyped-call]
    return result


class _RoundedOnce(torch.autograd.Function):
    """`hidden @ weight.T + update`, with the sum in the product's fp32 accumulators."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        # The parameter itself: a view of it would hold on to what ZeRO-3 has gathered.
        ctx.save_for_backward(weight)
        rows, added = hidden.reshape(-1, hidden.shape[-1]), update.reshape(-1, update.shape[-1])
        # The update is rounded here too, but to its own size: 8 bits of it stay.
        return torch.addmm(added.to(hidden.dtype), rows, weight.t()).view(update.shape)

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[torch.Tensor | None, None, torch.Tensor]:
        (weight,) = ctx.saved_tensors
        return above[0] @ weight if ctx.needs_input_grad[0] else None, None, above[0].float()
