"""A trained stage as files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabula_workloads.recipes.visual_instruction.watcher import files
from fabula_workloads.recipes.visual_instruction.watcher.building import NEW
from fabula_workloads.training.chat import save_adapter, sort_targets, without_card
from fabula_workloads.training.parts import Gathered

if TYPE_CHECKING:
    import torch


def save(
    watcher: Any, config: files.WatcherConfig, before: list[Path], folder: Path, *, writes: bool, gathered: Gathered
) -> None:
    """The update in peft's format where there is one, those before it, and all else that was trained."""
    whole = gathered()
    names = {id(value): name for name, value in watcher.own_weights().items()}
    trained: Mapping[str, torch.Tensor] = dict(watcher.named_parameters())
    weights = {
        names[id(value)]: value if whole is None else whole[name]
        for name, value in trained.items()
        if id(value) in names and (whole is None or name in whole)
    }
    if config.tune.updates:
        state = None
        if whole is not None:
            state = {name.removeprefix("language."): value for name, value in whole.items() if ".lora_" in name}
        _save_update(watcher.language, folder, state, writes, NEW)
    if writes:
        files.keep_updates(before, folder)
        files.write(folder, config, weights)


def _save_update(language: Any, folder: Path, state: Any, writes: bool, beside: str) -> None:
    if beside not in language.peft_config:
        save_adapter(language, folder, write=writes, gathered=lambda: state)
        return
    if not writes:
        return
    # peft writes an adapter that is not called `default` into a folder of its name.
    saving = without_card(language).save_pretrained
    saving(folder, selected_adapters=[beside], state_dict=state, save_embedding_layers=False)
    for file in (folder / beside).iterdir():
        shutil.move(str(file), str(folder / file.name))
    (folder / beside).rmdir()
    sort_targets(folder / "adapter_config.json")
