"""The loss: how likely the description is, and that it be at least as likely as the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def per_sample(outputs: Mapping[str, torch.Tensor], labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
    """Of each sample: mean cross entropy of its description, plus how much more that is than the mean of the
    description before it, where that is anything. Their sum, divided by the update's samples."""
    means = outputs["sums"] / outputs["counts"]
    matching = _by_sample(means, outputs, positive=True)
    other = _by_sample(means, outputs, positive=False)
    hinge = torch.where(outputs["contrasted"], torch.relu(matching - other), torch.zeros_like(matching))
    total: torch.Tensor = (matching + hinge).sum() / _samples(matching, num_items_in_batch)
    return total


def paper_v1(outputs: Mapping[str, torch.Tensor], labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
    """As published: of means over all tokens of a pass, so that a sample weighs by its length, and one that is far too
    likely hides another. The pass counts by its samples."""
    positive = outputs["positive"]
    loss = outputs["sums"][positive].sum() / outputs["counts"][positive].sum()
    if (~positive).any():
        other = outputs["sums"][~positive].sum() / outputs["counts"][~positive].sum()
        loss = loss + torch.relu(loss - other)
    number = positive.sum()
    total: torch.Tensor = loss * number / _samples(outputs["contrasted"], num_items_in_batch)
    return total


def _by_sample(means: torch.Tensor, outputs: Mapping[str, torch.Tensor], *, positive: bool) -> torch.Tensor:
    rows = outputs["positive"] if positive else ~outputs["positive"]
    out = means.new_zeros(len(outputs["contrasted"]))
    return out.index_put((outputs["sample_of"][rows],), means[rows])


def _samples(per_sample: torch.Tensor, asked: Any) -> Any:
    return len(per_sample) if asked is None else asked


LOSSES = {"per-sample": per_sample, "paper-v1": paper_v1}
