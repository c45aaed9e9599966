"""A tuned model's folder: what `from_pretrained` makes of it, in one file or in many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch


def test_only_the_language_model_is_trained(model_folder: Path) -> None:
    from fabula_workloads.models.loading import load_for_training
    from fabula_workloads.training.model.trained_weights import train_language

    model = train_language(load_for_training(model_folder, precision="fp32"))
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("model.visual.")}


@pytest.mark.parametrize("file_bytes", [1 << 30, 200_000])
def test_a_saved_model_loads_as_it_was(model_folder: Path, tmp_path: Path, file_bytes: int) -> None:
    import torch

    from fabula_workloads.models.loading import load_base, load_for_training
    from fabula_workloads.training.saving import whole_model

    model = load_for_training(model_folder, precision="bf16")
    with torch.no_grad():
        model.lm_head.weight.add_(0.25)
    whole_model.save(model, model_folder, tmp_path, write=True, file_bytes=file_bytes)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    index = tmp_path / whole_model.INDEX
    if file_bytes == 1 << 30:
        assert files == ["model.safetensors"]
        assert not index.exists()
    else:
        assert len(files) > 3
        assert sorted(set(json.loads(index.read_text())["weight_map"].values())) == files
        # The output matrix is larger than a file.
        assert all((tmp_path / name).stat().st_size < 2 * 500_000 for name in files)
    loaded = load_base(tmp_path, device="cpu", precision="bf16").state_dict()
    expected = model.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "use_cache" not in config  # it is turned off for training only
    rest = {path.name for path in model_folder.iterdir()} - {"model.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} - {*files, whole_model.INDEX} == rest


def test_experts_are_laid_out_as_in_the_bases_files() -> None:
    import torch

    from fabula_workloads.runtime.failures import Crashed
    from fabula_workloads.training.saving.whole_model import _laid_out

    experts = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(_laid_out(experts, "w", {"w": [2, 4, 3]}), experts.transpose(1, 2))
    assert torch.equal(_laid_out(experts, "w", {"w": [2, 3, 4]}), experts)
    assert torch.equal(_laid_out(experts, "w", {}), experts)
    with pytest.raises(Crashed, match=r"w is \[2, 3, 4\], but in the base model's files \[6, 4\]"):
        _laid_out(experts, "w", {"w": [6, 4]})


def test_what_is_trained_may_lie_in_folders(tmp_path: Path) -> None:
    """A watcher keeps the updates of the stages before its own in one."""
    from fabula_workloads.training.launcher.tuned_artifact import made_files

    for name in ("adapter_model.safetensors", "README.md", "earlier/00/adapter_config.json", "earlier/00/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert made_files(tmp_path) == [
        (name, tmp_path / name)
        for name in ("adapter_model.safetensors", "earlier/00/README.md", "earlier/00/adapter_config.json")
    ]
