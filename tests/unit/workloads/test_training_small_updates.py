"""What bf16 keeps of an update as small as that of the published run; docs/training.md tells the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import copies
from tests.support.training_dataset import build_model

pytestmark = pytest.mark.torch

WIDTH, ROWS, RANK, ALPHA = 4096, 512, 16, 32


def kept(learning_rate: float, steps: int, dtype: Any) -> tuple[float, float]:
    """Of a low-rank update merged into weights of that type: the share that is kept, along the update itself, and how
    far the rest lies off, as a share of the update's length. Weights and update are synthetic."""
    import torch

    torch.manual_seed(0)
    weights = (torch.randn(ROWS, WIDTH) * 0.02).bfloat16().float()
    # AdamW moves a weight by at most about the learning rate a step; over a cosine's decay by half of their sum.
    moved = torch.randn(ROWS, RANK).sign() * torch.rand(ROWS, RANK) * learning_rate * steps / 2
    started = (torch.rand(RANK, WIDTH) * 2 - 1) / WIDTH**0.5
    update = ALPHA / RANK * moved @ started
    found = (weights + update).to(dtype).float() - weights
    return float((found * update).sum() / update.square().sum()), float((found - update).norm() / update.norm())


@pytest.mark.parametrize(
    ("learning_rate", "share", "off"),
    [(4e-6, 0.30, 0.89), (4e-5, 0.99, 0.31), (1e-4, 1.0, 0.13)],
    ids=["published", "ten times", "usual for LoRA"],
)
def test_bf16_loses_most_of_an_update_as_small_as_the_published_one(
    learning_rate: float, share: float, off: float
) -> None:
    import torch

    assert kept(learning_rate, 126, torch.bfloat16) == (pytest.approx(share, abs=0.02), pytest.approx(off, abs=0.02))
    assert kept(learning_rate, 126, torch.float32) == (pytest.approx(1, abs=1e-3), pytest.approx(0, abs=1e-2))


def test_gradients_added_up_in_fp32_are_nearer_to_those_of_an_fp32_run(tmp_path: Path) -> None:
    """32 passes of one step through DeepSpeed. What is left are the passes themselves, which compute in bf16."""
    ended = copies.run("tests.support.accumulated_gradients", str(build_model(tmp_path)))
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["norm"] > 0.1
    assert found["off"]["fp32"] < 0.95 * found["off"]["bf16"] < 0.03
    # Adding up alone: independent of what the passes are off by, so the squares add up.
    lost = (found["off"]["bf16"] ** 2 - found["off"]["fp32"] ** 2) ** 0.5
    assert lost == pytest.approx(0.007, abs=0.002)
