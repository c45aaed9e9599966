"""What bf16 keeps of an update as small as that of the published run, merged and beside the weights, and what an update
in fp32 keeps; docs/training.md tells the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import copies
from tests.support.training_dataset import build_model

from fabula_workloads.models.torchvision_shim import prepare_torchvision

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


def layer(dtype: Any, device: str, *, bias: bool = False) -> tuple[Any, Any]:
    """A layer with the published run's update, on weights of that type: its peft model, and the layer."""
    prepare_torchvision()
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    base = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(WIDTH, ROWS, bias=bias)})
    base["q_proj"].weight.data.normal_(0, 0.02)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["q_proj"])
    model = get_peft_model(base.to(dtype), config, autocast_adapter_dtype=False).eval()
    found = model.base_model.model["q_proj"]
    moved = torch.randn(ROWS, RANK).sign() * torch.rand(ROWS, RANK) * 4e-6 * 126 / 2
    found.lora_B.default.weight.data.copy_(moved)
    return model.to(device), found


def share(found: Any, hidden: Any) -> float:
    """Of a layer's update, how much of it is in what the layer gives, along the update itself."""
    base = found.get_base_layer()
    factors = [factor.default.weight.double() for factor in (found.lora_A, found.lora_B)]
    update = hidden.double() @ factors[0].T @ factors[1].T * ALPHA / RANK
    given = found(hidden).double() - base(hidden).double()
    return float((given * update).sum() / update.square().sum())


def test_an_update_in_fp32_is_whole_in_what_a_layer_gives_and_no_other_is(device: str) -> None:
    import torch

    from fabula_workloads.models.adapter import merge
    from fabula_workloads.models.fp32_update import compute_in_fp32

    hidden = torch.randn(512, WIDTH, generator=torch.Generator().manual_seed(1)).to(device, torch.bfloat16)
    model, found = layer(torch.bfloat16, device)
    with torch.no_grad():
        kept = {"bf16": share(found, hidden)}
        for factor in (found.lora_A, found.lora_B):
            factor.default.float()
        kept["fp32 added to what is rounded"] = share(found, hidden)
        compute_in_fp32(model)
        kept["fp32"] = share(found, hidden)
        with model.disable_adapter():
            assert torch.equal(found(hidden), found.get_base_layer()(hidden))
    _, kept["merged"] = merge(model)
    expected = {"bf16": 0.31, "fp32 added to what is rounded": 0.31, "fp32": 0.99, "merged": 0.29}
    assert kept == {name: pytest.approx(one, abs=0.02) for name, one in expected.items()}


@pytest.mark.parametrize("bias", [False, True])
def test_an_update_in_fp32_is_pefts_but_for_the_rounding(bias: bool, device: str) -> None:
    import torch

    from fabula_workloads.models.fp32_update import compute_in_fp32

    model, found = layer(torch.float32, device, bias=bias)
    hidden = torch.randn(2, 8, WIDTH, generator=torch.Generator().manual_seed(1)).to(device).requires_grad_()
    seen = [hidden, found.lora_A.default.weight, found.lora_B.default.weight]

    def given() -> list[Any]:
        result = found(hidden)
        return [result, *torch.autograd.grad(result.square().sum(), seen)]

    plain = given()
    compute_in_fp32(model)
    for ours, theirs in zip(given(), plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_an_update_of_another_layer_than_a_linear_one_is_refused_by_name() -> None:
    prepare_torchvision()
    import torch
    from peft import LoraConfig, get_peft_model

    from fabula_workloads.models.fp32_update import compute_in_fp32

    model = get_peft_model(
        torch.nn.ModuleDict({"words": torch.nn.Embedding(8, 4)}), LoraConfig(target_modules=["words"])
    )
    with pytest.raises(ValueError, match=r"words is a Embedding, whose product is rounded before"):
        compute_in_fp32(model)


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
