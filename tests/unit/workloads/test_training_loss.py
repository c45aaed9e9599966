"""The loss of an update does not depend on how its samples are cut into passes and ranks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.invariant]


def batch(lengths: list[int]) -> tuple[Any, Any]:
    """Random logits, and labels of which each row has that many."""
    import torch

    logits = torch.randn(len(lengths), 12, 7, generator=torch.Generator().manual_seed(1))
    labels = torch.full((len(lengths), 12), -100)
    for row, length in enumerate(lengths):
        labels[row, 12 - length :] = torch.arange(length) % 7
    return logits, labels


def test_it_is_the_mean_over_the_labelled_tokens() -> None:
    import torch

    from fabula_workloads.training.model.loss import token_loss

    logits, labels = batch([3, 9])
    found = token_loss(SimpleNamespace(logits=logits), labels)
    probabilities = logits.log_softmax(-1)
    parts = [
        -probabilities[row, position - 1, labels[row, position]]
        for row in range(2)
        for position in range(1, 12)
        if labels[row, position] != -100
    ]
    assert len(parts) == 12
    assert found.item() == pytest.approx(torch.stack(parts).mean().item(), rel=1e-6)


def test_cutting_an_update_up_changes_nothing() -> None:
    from fabula_workloads.training.model.loss import token_loss

    logits, labels = batch([2, 11, 5, 1])
    whole = token_loss(SimpleNamespace(logits=logits), labels)
    count = (labels != -100).sum()
    parts = [token_loss(SimpleNamespace(logits=logits[[row]]), labels[[row]], count) for row in range(4)]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-6)
    means = [token_loss(SimpleNamespace(logits=logits[[row]]), labels[[row]]).item() for row in range(4)]
    assert sum(means) / 4 != pytest.approx(whole.item(), rel=1e-3)
