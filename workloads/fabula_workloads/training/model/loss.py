"""The loss of an update: the mean over all its answer tokens, whichever rank and whichever pass they fall to.

A model's own is a mean over one pass, so an update would weigh a token by how its batch was cut up, and the same run
on another number of ranks would be another run.

`LossHead` has the output matrix and the loss in one: logits of some labelled positions at a time, and never all of them
at once. With a vocabulary of 152 thousand, the logits of 8,192 tokens take 5 GB in fp32, and as much again for their
gradient. The head is frozen, so its input's gradient can be had in the forward pass, with part of the logits at hand.
"""

from __future__ import annotations

from typing import Any

import torch

from fabula_api.training_memory import LOGITS_AT_ONCE
from fabula_workloads.models.family import IGNORED


def token_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Cross entropy of each labelled token given those before it, summed and divided by the update's labelled tokens.

    Logits are those of every position, or of those alone that a label follows (a packed batch), or a `LossHead`'s sum.
    For Trainer's `compute_loss_func`; `num_items_in_batch` counts over all ranks and passes, without it over `labels`.
    """
    targets = labels[:, 1:]
    if outputs.logits.ndim == 0:
        counted = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        summed: torch.Tensor = outputs.logits
        return summed / counted
    if outputs.logits.shape[1] == labels.shape[1]:
        logits = outputs.logits[:, :-1]
    else:
        logits, targets = outputs.logits, targets[targets != IGNORED][None]
    targets = targets.to(logits.device)
    total = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1), ignore_index=IGNORED, reduction="sum"
    )
    count = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return total / count


class LossHead:
    """Takes the place of a frozen head's `forward`: it returns the sum of the labelled tokens' cross entropy.

    Tell it the `labels` of each batch first. Loss and gradients are those of `token_loss` over all logits, to float
    tolerance.
    """

    def __init__(self, head: torch.nn.Linear) -> None:
        self._head = head
        self.labels: torch.Tensor | None = None
        """Of the batch that comes next, (rows, length)."""

    @classmethod
    def attach(cls, model: Any) -> LossHead | None:
        """Give this model such a head. None where its head is trained, or is no plain matrix: it stays as it is."""
        head = model.get_output_embeddings()
        if type(head) is not torch.nn.Linear or head.bias is not None or head.weight.requires_grad:
            return None
        made = cls(head)
        # The module stays and only its forward is another: ZeRO-3 gathers the weights in hooks around it.
        head.forward = made.forward
        return made

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The sum, from the last layer's output at all positions or at those alone that a label follows."""
        if self.labels is None:
            raise ValueError("the head was not told the batch's labels")
        targets = self.labels[:, 1:].to(hidden.device)
        labelled = targets != IGNORED
        chosen = hidden[:, :-1][labelled] if hidden.shape[1] == self.labels.shape[1] else hidden.flatten(0, 1)
        self.labels = None
        total: torch.Tensor = _SummedLoss.apply(chosen, self._head.weight, targets[labelled])  # type: ignore[no-untyped-call]
        return total


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if len(hidden) != len(targets):
            raise ValueError(f"{len(hidden)} positions were given to the head, but {len(targets)} have a label")
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), device=hidden.device)
        rows = max(1, LOGITS_AT_ONCE // weight.shape[0])
        for start in range(0, len(hidden), rows):
            part, target = hidden[start : start + rows], targets[start : start + rows, None]
            logs = torch.log_softmax(torch.nn.functional.linear(part, weight), dim=-1, dtype=torch.float32)
            total -= logs.gather(1, target).sum()
            if gradient is not None:
                error = logs.exp_().scatter_add_(1, target, logs.new_full((), -1.0).expand_as(target))
                gradient[start : start + rows] = error.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * above[0]).to(gradient.dtype), None, None
