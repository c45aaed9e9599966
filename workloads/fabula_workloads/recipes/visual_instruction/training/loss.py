"""The loss of a sample: the mean cross entropy of what it says, plus the mean focal loss of when it says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def watcher_loss(outputs: Mapping[str, torch.Tensor], labels: Any, num_items_in_batch: Any = None) -> torch.Tensor:
    """Of all samples of the update, a mean: each counts once, however long it is and on whatever rank."""
    text = outputs["text"] / outputs["tokens"].clamp(min=1)
    when = outputs["decided"] / outputs["decisions"].clamp(min=1)
    total: torch.Tensor = (text + when).sum() / (len(text) if num_items_in_batch is None else num_items_in_batch)
    return total
