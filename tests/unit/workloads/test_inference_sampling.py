"""Sampling: from the softmax, by the row's own seed alone, and the same on every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytestmark = pytest.mark.torch

WORDS = 200


def draw(logits: Any, seeds: Sequence[int], steps: int = 1, top_p: float = 1.0, top_k: int = 0) -> Any:
    """Words drawn from the same logits by each seed, (seeds, steps)."""
    import torch

    from fabula_workloads.inference.sampling import processors

    chain, check = processors(seeds, temperature=1.0, top_p=top_p, top_k=top_k)
    asked = torch.zeros(len(seeds), 1, dtype=torch.long, device=logits.device)
    drawn = [chain(asked, logits.repeat(len(seeds), 1)).argmax(dim=-1) for _ in range(steps)]
    assert check.broken == [False] * len(seeds)
    return torch.stack(drawn, dim=1).cpu()


def logits(device: str, dtype: Any = None) -> Any:
    import torch

    return torch.randn(WORDS, generator=torch.Generator().manual_seed(0)).mul(2).to(device, dtype or torch.float32)


@pytest.mark.parametrize(("seeds", "steps"), [(20_000, 1), (40, 500)])
def test_words_are_drawn_as_often_as_the_softmax_says(seeds: int, steps: int, device: str) -> None:
    import torch
    from scipy import stats

    given = logits(device)
    drawn = draw(given, range(seeds), steps).flatten()
    expected = torch.softmax(given.double(), -1).cpu() * len(drawn)
    # Words that are expected less than five times are counted together.
    order = expected.argsort()
    groups, held = [0] * WORDS, 0.0
    for word in order.tolist():
        groups[word], held = int(held // 5), held + float(expected[word])
    cells = torch.tensor(groups)
    wanted = torch.zeros(int(cells.max()) + 1, dtype=torch.float64).index_add_(0, cells, expected)
    found = torch.zeros_like(wanted).index_add_(0, cells, torch.bincount(drawn, minlength=WORDS).double())
    kept = wanted > 0
    assert int(kept.sum()) > 50
    assert stats.chisquare(found[kept].numpy(), wanted[kept].numpy()).pvalue > 1e-3


def test_a_row_draws_the_same_whatever_its_neighbours_are_and_wherever(device: str) -> None:
    import torch

    given = logits(device)
    together = draw(given, range(8), steps=600)
    assert torch.equal(together[3:4], draw(given, [3], steps=600))
    assert torch.equal(together, draw(given.cpu(), range(8), steps=600))
    assert len({tuple(row.tolist()) for row in together}) == 8


def test_what_is_cut_off_is_never_drawn(device: str) -> None:
    import torch

    given = torch.log(torch.tensor([0.05, 0.5, 0.3, 0.15], device=device))
    assert set(draw(given, range(2000), top_p=0.7).flatten().tolist()) == {1, 2}
    assert set(draw(given, range(2000), top_k=3).flatten().tolist()) == {1, 2, 3}
    last = torch.tensor([0.0, float("-inf"), float("-inf")], device=device)
    assert set(draw(last, range(2000)).flatten().tolist()) == {0}


def test_rows_without_numbers_are_told_and_spoil_no_other(device: str) -> None:
    import torch

    from fabula_workloads.inference.sampling import processors

    asked = torch.zeros(2, 1, dtype=torch.long, device=device)
    chain, check = processors([1, 2], temperature=0.0, top_p=1.0, top_k=0)
    assert check.broken == [False, False]
    scores = chain(asked, torch.tensor([[0.0, float("nan")], [0.0, 1.0]], device=device))
    chain(asked, torch.zeros(2, 2, device=device))
    assert check.broken == [True, False]
    assert scores.argmax(dim=-1).tolist() == [0, 1]
