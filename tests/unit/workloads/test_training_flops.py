"""The operations that MFU counts, against those that torch counts while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.models.qwen3_vl.flops import ModelFlops

CONFIG = {
    "text_config": {
        "hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    },
    "vision_config": {
        "hidden_size": 1152, "intermediate_size": 4304, "depth": 27, "patch_size": 16, "temporal_patch_size": 2,
        "spatial_merge_size": 2, "out_hidden_size": 5120, "deepstack_visual_indexes": [8, 16, 24],
    },
}  # fmt: skip


def test_a_32b_sample_costs_four_operations_a_weight_and_token() -> None:
    sizes = ModelFlops.of(CONFIG, lora=134_217_728)
    assert sizes.language == pytest.approx(31.2e9, rel=0.01)
    sample = sizes.needed([3200], 1000, [(1, 30, 54)] * 5)
    assert sizes.attention([3200]) / sample == pytest.approx(0.072, abs=0.001)
    assert sample == pytest.approx(1.118 * 4 * 31.2e9 * 3200, rel=0.001)
    assert sample > sizes.needed([3200], 999, [(1, 30, 54)] * 5)
    # Two samples in one sequence need what they need apart, and not the square of their sum.
    assert sizes.needed([3200, 3200], 2000, [(1, 30, 54)] * 10) == pytest.approx(2 * sample)


def test_a_token_meets_few_experts_of_a_mixture() -> None:
    # The published 235B of which 22B are active, embeddings and output matrix (1.2B) among them.
    mixture = {
        "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 94, "num_attention_heads": 64,
        "num_key_value_heads": 4, "head_dim": 128, "moe_intermediate_size": 1536, "num_experts": 128,
        "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": [],
    }  # fmt: skip
    sizes = ModelFlops.of(CONFIG | {"text_config": CONFIG["text_config"] | mixture}, lora=0)
    assert sizes.language == pytest.approx(20.9e9, rel=0.01)
    mixed = ModelFlops.of(CONFIG | {"text_config": CONFIG["text_config"] | mixture | {"mlp_only_layers": [0]}}, lora=0)
    assert mixed.language - sizes.language == 3 * 4096 * (12288 - 8 * 1536) - 4096 * 128


@pytest.mark.parametrize(
    ("device", "training", "product", "expected"),
    [
        ("NVIDIA A100-SXM4-80GB", {}, None, 312e12),
        ("NVIDIA H100 80GB HBM3", {}, None, 989e12),
        ("An unknown card", {}, "NVIDIA-H200", 989e12),
        ("An unknown card", {}, None, None),
        ("NVIDIA A100-SXM4-80GB", {"precision": "fp32"}, None, None),
        (None, {}, "NVIDIA-H200", None),
    ],
)
def test_the_peak_is_the_devices_in_bf16(
    device: str | None, training: dict[str, Any], product: str | None, expected: float | None
) -> None:
    wire = {"dataset": {"uri": "d"}, "model": {"name": "m"}, "training": training, "topology": {"product": product}}
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    from fabula_workloads.training.rank.step_boundary import peak_of

    assert peak_of(FineTuneRunSpec.model_validate(wire), device) == expected


@pytest.mark.torch
@pytest.mark.parametrize(("attention", "full"), [("sdpa", False), ("eager", False), ("sdpa", True)])
def test_the_formula_is_what_torch_counts(tmp_path: Path, attention: str, full: bool) -> None:
    from tests.support.training_dataset import build_model, samples, write_dataset
    from torch.utils.flop_counter import FlopCounterMode

    from fabula_api.fine_tune_run import Lora
    from fabula_api.shared_spec import PixelWindow
    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
    from fabula_workloads.models.qwen3_vl.positions import rope_index
    from fabula_workloads.training.model.loss import token_loss
    from fabula_workloads.training.model.trained_weights import add_lora, train_language
    from fabula_workloads.training.samples.dataset import read_samples
    from fabula_workloads.training.samples.encode import Encoder

    folder = build_model(tmp_path / "model")
    write_dataset(tmp_path / "data", samples(1, images=(3,)))
    encoder = Encoder(load_processor(folder, PixelWindow(min_pixels=1024, max_pixels=8192)), tmp_path / "data")
    base = load_for_training(folder, precision="fp32")
    base.set_attn_implementation(attention)
    if full:
        model, adapter = train_language(base).train(), 0
    else:
        model = add_lora(base, Lora(dropout=0.0), "m").train()
        model.enable_input_require_grads()
        adapter = sum(p.numel() for p in model.parameters() if p.requires_grad)
    sizes = ModelFlops.of(base.config.to_dict(), adapter, full=full)
    row = [[encoder.encode(read_samples(tmp_path / "data", "train")[0])]]
    packed = PackedCollator(rope_index(base), sizes.needed)(row)
    batch = Collator(encoder.pad_token_id, sizes.needed)(row)
    kept, length, grids = packed["logits_to_keep"], packed["segments"][0], batch["image_grid_thw"].tolist()
    assert batch["measures"] == packed["measures"]
    assert batch.pop("measures")["flops"] == sizes.needed([length], len(kept), grids)
    labels = batch.pop("labels")
    with FlopCounterMode(display=False) as counter:
        token_loss(model(**batch, logits_to_keep=kept), labels).backward()  # type: ignore[no-untyped-call]
    expected = sizes.matrices(length, len(kept), grids)
    if attention == "eager":  # torch counts no fused attention on a CPU; the plain one computes what the mask hides too
        expected += 2 * sizes.attention([length]) + sizes.looking(grids)
    assert counter.get_total_flops() == expected
