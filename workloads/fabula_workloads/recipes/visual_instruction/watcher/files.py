"""A trained watcher as files: what it is, its weights beside the language model's, and the updates before its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune
from fabula_workloads.models.adapter import CONFIG as ADAPTER_CONFIG
from fabula_workloads.models.adapter import WEIGHTS as ADAPTER_WEIGHTS
from fabula_workloads.recipe_parts import trained_files
from fabula_workloads.runtime.failures import InputInvalid

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS, EARLIER = "watcher.json", "watcher.safetensors", "earlier"


class WatcherConfig(BaseModel):
    """What a watcher is, without its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tune: VisualInstructionTune
    family: str
    """`model_type` of the base."""
    vocabulary: int
    """Tokens of the base's tokenizer, without the marks."""
    side: int
    """Sides of the pictures that it learned from."""
    fps: float = 1.0
    """Pictures a second that it learned from."""
    hears: bool
    decides: bool
    stages: tuple[str, ...]
    """The stages before this one, and this one."""


def write(folder: Path, config: WatcherConfig, weights: Mapping[str, torch.Tensor]) -> None:
    """Write both files."""
    trained_files.write_config(folder / CONFIG, config, "begin")
    trained_files.write_weights(folder / WEIGHTS, weights)


def read_config(folder: Path, where: str) -> WatcherConfig:
    """Raises InputInvalid where the folder holds no watcher."""
    file = folder / CONFIG
    if not file.is_file():
        raise InputInvalid(f"{where} is no watcher: {CONFIG} is not in its folder; name a run of visual-instruction")
    # Where it began is told by its manifest, and not needed to be it again.
    return trained_files.read_config(WatcherConfig, file, where, begin={"uri": "earlier"})


def updates_of(folder: Path) -> list[Path]:
    """Folders of the low-rank updates that belong to a watcher, the oldest first; its own is the last."""
    earlier = sorted(path for path in (folder / EARLIER).glob("*") if (path / ADAPTER_CONFIG).is_file())
    return [*earlier, folder] if (folder / ADAPTER_CONFIG).is_file() else earlier


def keep_updates(updates: Sequence[Path], folder: Path) -> None:
    """Copy updates into an artifact's folder, as those before its own."""
    for number, update in enumerate(updates):
        place = folder / EARLIER / f"{number:02d}"
        place.mkdir(parents=True, exist_ok=True)
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            shutil.copyfile(update / name, place / name)


def load_weights(module: Any, folder: Path, where: str) -> None:
    """Give a watcher the weights that it shares with a trained one: all that is there, but for a head that it has not.

    Raises InputInvalid naming the first that does not fit: another fusion or another model.
    """
    import torch
    from safetensors.torch import load_file

    weights = module.own_weights()
    for name, value in sorted(load_file(folder / WEIGHTS).items()):
        if name.startswith("head.") and module.head is None:
            continue
        if name not in weights or weights[name].shape != value.shape:
            there = list(weights[name].shape) if name in weights else "no such weight"
            raise InputInvalid(
                f"{where}: {name} has shape {list(value.shape)}, and this watcher has {there}; it is of another "
                "fusion, another model or another stage"
            )
        with torch.no_grad():
            weights[name].copy_(value.to(weights[name].dtype))
