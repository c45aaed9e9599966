"""Where a model is while it is put together: a pod with a GPU has no room for a copy of it in CPU memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch


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
    tuned.save_pretrained(tmp_path)
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
