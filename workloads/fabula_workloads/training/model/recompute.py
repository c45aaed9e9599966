"""Recomputation of language layers in the backward pass, each as a whole and before any part of it needs weights.

torch recomputes a layer when the first of its kept tensors is asked for: in the middle of the layer's last product.
DeepSpeed (0.19) then gives the frozen weights that the recomputation gathers to that product, and lets go of all of
them with it, so ZeRO-3 gathers each a third time for its own backward pass. Asked for at the layer's end, they belong
to the layer and stay until its backward pass is through: two gathers instead of three, and no bit of the loss changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from fabula_workloads.training.libraries.trainer import recompute_by


def recompute_layers(model: Any, every: int, keep: int = 0) -> None:
    """Let a base model recompute every `every`-th of its layers, but for the last `keep`, whose activations the
    backward pass needs first and lets go of first. Before DeepSpeed sees the model.

    Raises ValueError for a model that cannot.
    """
    model.activation_checkpointing_enable({"use_reentrant": False}, every_n_layers=every)
    # It also has the embedding's output ask for a gradient; ZeRO-3 would gather the embedding backwards for that.
    model.disable_input_require_grads()
    layers = model.get_decoder().layers
    layers[0].register_forward_pre_hook(_ask_for_gradient)
    recompute_by(layers, _checkpoint_whole)
    for layer in layers[max(0, len(layers) - keep) :]:
        layer.gradient_checkpointing = False


def _ask_for_gradient(layer: Any, inputs: tuple[Any, ...]) -> None:
    """DeepSpeed knows by the gradient of a layer's input that the layer is done."""
    if layer.training and torch.is_grad_enabled():
        inputs[0].requires_grad_(True)


def _checkpoint_whole(function: Callable[..., Any], *inputs: Any) -> Any:
    def whole(*again: Any) -> Any:
        return _RecomputeHere.apply(function(*again))  # type: ignore[no-untyped-call]

    return checkpoint(whole, *inputs, use_reentrant=False)


class _RecomputeHere(torch.autograd.Function):
    """What it is given. Its backward pass comes first in the layer's, and asks for a tensor that was not kept."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(hidden.new_empty(0))
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> torch.Tensor:
        _ = ctx.saved_tensors
        return above[0]
