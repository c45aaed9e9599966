"""How a model and its adapter are put together: where, since a pod with a GPU has no room for a copy of it in CPU
memory, and with which loss."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch


# The stand-in's tensors hold nothing, so none is copied there; on a device that holds something torch says nothing.
@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter in the checkpoint to a meta parameter")
def test_an_adapter_is_merged_where_the_model_is_used(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fabula_api.fine_tune_run import Lora
    from fabula_workloads.models import loading
    from fabula_workloads.training.model.trained_weights import add_lora

    tuned = add_lora(loading.load_for_training(model_folder, precision="fp32"), Lora(), "m")
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.01)
    tuned.save_pretrained(tmp_path, save_embedding_layers=False)
    places = []
    with_adapter = loading.with_adapter

    def noted(base: Any, folder: Path) -> Any:
        places.append({parameter.device.type for parameter in base.parameters()})
        return with_adapter(base, folder)

    monkeypatch.setattr(loading, "with_adapter", noted)
    # A device whose tensors hold nothing stands for a GPU.
    device: Any = "meta"
    made = loading.load_with_adapter(model_folder, tmp_path, device=device, precision="fp32")
    assert places == [{"meta"}]
    assert not any("lora_" in name for name, _ in made.named_parameters())


@pytest.fixture
def tuned(model_folder: Path, tmp_path: Path) -> tuple[Any, Path]:
    """A model in bf16 with a small update in fp32, as training has it; and where the update lies."""
    import torch

    from fabula_api.fine_tune_run import Lora
    from fabula_workloads.models import loading
    from fabula_workloads.training.model.trained_weights import add_lora

    torch.manual_seed(0)
    made = add_lora(loading.load_for_training(model_folder, precision="bf16"), Lora(precision="fp32"), "m")
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 1e-4)
    made.save_pretrained(tmp_path, save_embedding_layers=False)
    return made.eval(), tmp_path


def test_an_update_in_fp32_is_computed_as_in_training_and_stays_beside_the_weights(
    model_folder: Path, tuned: tuple[Any, Path]
) -> None:
    import torch

    from fabula_workloads.models.loading import load_base, load_with_adapter

    trained, folder = tuned
    words = torch.arange(10, 40)[None]
    made = load_with_adapter(model_folder, folder, device="cpu", precision="bf16", fp32_update=True)
    with torch.inference_mode():
        given, expected = made(input_ids=words).logits, trained(input_ids=words).logits
        base = load_base(model_folder, device="cpu", precision="bf16")(input_ids=words).logits
    assert torch.equal(given, expected)
    assert not torch.equal(given, base)
    assert {value.dtype for name, value in made.named_parameters() if "lora_" in name} == {torch.float32}


def test_what_merging_leaves_of_an_adapter_is_told(
    model_folder: Path, tuned: tuple[Any, Path], caplog: pytest.LogCaptureFixture
) -> None:
    from fabula_workloads.models.loading import load_with_adapter

    _, folder = tuned
    with caplog.at_level(logging.INFO, "fabula_workloads.models.loading"):
        for precision in ("bf16", "fp32"):
            load_with_adapter(model_folder, folder, device="cpu", precision=precision)  # type: ignore[arg-type]
    (lost, whole) = caplog.records
    assert (lost.levelname, whole.levelname) == ("WARNING", "INFO")
    assert "weights keep 100 %" in whole.getMessage()
    share = int(lost.getMessage().removesuffix(" %").rpartition(" ")[2])
    assert 10 < share < 90
