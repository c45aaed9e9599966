"""The loss of an update: the mean over all its answer tokens, whichever rank and whichever pass they fall to.

Qwen3-VL's own is a mean over one pass, so an update would weigh a token by how its batch was cut up, and the same run
on another number of ranks would be another run.
"""

from __future__ import annotations

from typing import Any

import torch

from fabula_workloads.training.encode import IGNORED


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
