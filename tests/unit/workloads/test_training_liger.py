"""Liger's kernels change how a layer is computed and nothing else; without a GPU they are interpreted."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("triton") is None or find_spec("liger_kernel") is None:  # importing them would fix how kernels run
    pytest.skip(
        "Liger's kernels need the kernels extra, and Triton, which only CUDA builds of torch bring",
        allow_module_level=True,
    )
pytestmark = [pytest.mark.torch, pytest.mark.slow]

import torch  # noqa: E402

from fabula_workloads.models.torchvision_shim import prepare_torchvision  # noqa: E402

prepare_torchvision()

if not torch.cuda.is_available():
    import tests.support.triton_interpreter  # noqa: F401
from tests.support.training_dataset import build_model, samples, write_dataset  # noqa: E402

from fabula_api.fine_tune_run import Lora  # noqa: E402
from fabula_api.shared_spec import PixelWindow  # noqa: E402


def test_loss_and_gradients_are_those_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    if device == "cpu" and torch.cuda.is_available():
        pytest.skip("where there is a GPU the kernels are compiled for it: --device cuda")
    from transformers.models.qwen3_vl import modeling_qwen3_vl

    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.models.qwen3_vl.batches import Collator, PackedCollator
    from fabula_workloads.models.qwen3_vl.kernels import use_liger
    from fabula_workloads.models.qwen3_vl.positions import rope_index
    from fabula_workloads.models.segments import packed_attention
    from fabula_workloads.training.model.loss import LossHead, token_loss
    from fabula_workloads.training.model.trained_weights import add_lora
    from fabula_workloads.training.samples.dataset import read_samples
    from fabula_workloads.training.samples.encode import Encoder

    # Liger replaces this in the module itself; other tests of the process keep torch's.
    monkeypatch.setattr(modeling_qwen3_vl, "apply_rotary_pos_emb", own := modeling_qwen3_vl.apply_rotary_pos_emb)
    build_model(tmp_path / "model")
    write_dataset(tmp_path / "data", samples(2, images=(1, 2)))
    processor = load_processor(tmp_path / "model", PixelWindow(min_pixels=1024, max_pixels=4096))
    encoder = Encoder(processor, tmp_path / "data")
    encoded = [encoder.encode(sample) for sample in read_samples(tmp_path / "data", "train")]
    for packed in (False, True):
        found: list[tuple[float, dict[str, Any]]] = []
        for liger in (False, True):
            modeling_qwen3_vl.apply_rotary_pos_emb = own
            attention = packed_attention() if packed else "sdpa"
            base = load_for_training(tmp_path / "model", precision="fp32", attention=attention)
            if liger:
                use_liger(base)
            torch.manual_seed(7)
            model = add_lora(base, Lora(dropout=0.0), "m").train().to(device)
            trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
            for parameter in trained.values():
                parameter.data.normal_(0, 0.05)
            head = LossHead.attach(base)
            assert head is not None
            batch = PackedCollator(rope_index(base))([encoded]) if packed else Collator(0)([[one] for one in encoded])
            batch.pop("measures")
            inputs = {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
            head.labels = labels = inputs.pop("labels")
            loss = token_loss(model(**inputs), labels)
            loss.backward()
            found.append((loss.item(), {name: p.grad for name, p in trained.items()}))
        (expected, gradients), (loss_of_liger, gradients_of_liger) = found
        assert loss_of_liger == pytest.approx(expected, rel=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradients_of_liger[name], gradient, rtol=1e-3, atol=1e-5)
        # Equal to the last bit everywhere, nothing would have been replaced.
        assert any(not torch.equal(gradients_of_liger[name], gradient) for name, gradient in gradients.items())
