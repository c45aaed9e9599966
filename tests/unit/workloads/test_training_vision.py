"""How pictures go through the vision tower: one question for their bounds a pass, and no bit that is seen changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.training_dataset import build_model, samples, write_dataset

from fabula_api.shared_spec import PixelWindow

pytestmark = [pytest.mark.torch, pytest.mark.invariant]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model"))


def encoded(model_folder: Path, folder: Path) -> list[Any]:
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.training.samples.dataset import read_samples
    from fabula_workloads.training.samples.encode import Encoder

    write_dataset(folder, samples(3, images=(1, 3, 2)))
    encoder = Encoder(load_processor(model_folder, PixelWindow(min_pixels=1024, max_pixels=8192)), folder)
    return [encoder.encode(sample) for sample in read_samples(folder, "train")]


def without_ours(model: Any) -> Any:
    """The model with transformers' own attention in its vision tower."""
    blocks = model.model.visual.blocks
    assert all("forward" in vars(block.attn) for block in blocks), "the family has prepared every layer"
    for block in blocks:
        del block.attn.forward
    return model


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_pictures_are_seen_as_by_transformers(model_folder: Path, tmp_path: Path, precision: Any, device: str) -> None:
    import torch

    from fabula_workloads.models.loading import load_base, load_for_training
    from fabula_workloads.models.qwen3_vl.batches import Collator

    batch = Collator(0)([[one] for one in encoded(model_folder, tmp_path / "data")])
    pictures, grid = batch["pixel_values"].to(device), batch["image_grid_thw"].to(device)
    ours = load_for_training(model_folder, precision=precision).to(device)
    theirs = without_ours(load_base(model_folder, device=device, precision=precision))  # type: ignore[arg-type]
    with torch.no_grad():
        found, expected = (model.model.get_image_features(pictures, grid) for model in (ours, theirs))
    assert len(found.pooler_output) == len(grid) == 6
    for seen, as_theirs in zip(found.pooler_output, expected.pooler_output, strict=True):
        if device == "cuda" and precision == "bf16":  # the varlen kernel adds up in another order
            torch.testing.assert_close(seen, as_theirs, atol=0.03, rtol=0.03)
        else:
            assert torch.equal(seen, as_theirs)


def test_bounds_are_asked_for_once_a_pass(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    import torch

    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.models.qwen3_vl.batches import Collator

    batch = Collator(0)([[one] for one in encoded(model_folder, tmp_path / "data")])
    pictures, grid = batch["pixel_values"].to(device), batch["image_grid_thw"].to(device)
    asked = {"times": 0}
    own = torch.Tensor.tolist

    def counted(tensor: Any) -> Any:
        asked["times"] += 1
        return own(tensor)

    def waits(model: Any) -> int:
        with torch.no_grad(), monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "tolist", counted)
            asked["times"] = 0
            model.model.visual(pictures, grid_thw=grid)
        return asked["times"]

    model = load_for_training(model_folder, precision="fp32").to(device)
    found = waits(model)
    assert waits(model) == found, "each pass has bounds of its own"
    layers = len(model.model.visual.blocks)
    assert layers > 1
    assert waits(without_ours(model)) == found - 1 + 3 * layers


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_travel_in_the_type_that_they_are_seen_in(model_folder: Path, tmp_path: Path, packed: bool) -> None:
    import torch

    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.models.qwen3_vl import FAMILY

    rows = [[one] for one in encoded(model_folder, tmp_path / "data")]
    half, whole = (
        FAMILY.collate(load_for_training(model_folder, precision=precision), 0, None, packed=packed)(rows)
        for precision in ("bf16", "fp32")
    )
    assert (half["pixel_values"].dtype, whole["pixel_values"].dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(half["pixel_values"], whole["pixel_values"].bfloat16())
