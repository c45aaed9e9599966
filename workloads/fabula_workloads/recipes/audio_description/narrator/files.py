"""A trained narrator as files: what it is, and its weights beside the language model's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from fabula_api.recipes.audio_description.tune import AudioDescriptionTune
from fabula_workloads.models.adapter import CONFIG as ADAPTER_CONFIG
from fabula_workloads.recipe_parts import trained_files
from fabula_workloads.runtime.failures import InputInvalid

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS = "narrator.json", "narrator.safetensors"


class NarratorConfig(BaseModel):
    """What a narrator is, without its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tune: AudioDescriptionTune
    feature_shape: tuple[int, ...]
    """Of a frame."""
    vocabulary: int
    """Rows of the language model's embeddings, behind which its own tokens are numbered."""


def write(folder: Path, config: NarratorConfig, weights: Mapping[str, torch.Tensor]) -> None:
    """Write both files."""
    trained_files.write_config(folder / CONFIG, config, "pretrained")
    trained_files.write_weights(folder / WEIGHTS, weights)


def read_config(folder: Path, where: str) -> NarratorConfig:
    """Raises InputInvalid where the folder holds no narrator."""
    file = folder / CONFIG
    if not file.is_file():
        raise InputInvalid(
            f"{where} is no narrator: {CONFIG} is not in its folder; name a run with objective narration"
        )
    return trained_files.read_config(NarratorConfig, file, where)


def has_adapter(folder: Path) -> bool:
    """Whether a low-rank update of the language model lies beside."""
    return (folder / ADAPTER_CONFIG).is_file()


def load_weights(module: Any, folder: Path, where: str) -> None:
    """Give a narrator its weights. Raises InputInvalid naming the first that does not fit: a mapping of another kind or
    size."""
    from safetensors.torch import load_file

    stored = load_file(folder / WEIGHTS)
    weights = dict(module.named_parameters())
    for name in sorted(stored):
        if name not in weights or weights[name].shape != stored[name].shape:
            there = list(weights[name].shape) if name in weights else "no such weight"
            raise InputInvalid(
                f"{where}: {name} has shape {list(stored[name].shape)}, and this narrator has {there}; it is of "
                "another mapping or another language model"
            )
    wanted = {name for name in weights if not name.startswith("language.")}
    if missing := sorted(wanted - stored.keys()):
        raise InputInvalid(f"{where} lacks {len(missing)} weights, first {missing[0]}; it is of another mapping")
    module.load_state_dict({name: value.to(weights[name].dtype) for name, value in stored.items()}, strict=False)
