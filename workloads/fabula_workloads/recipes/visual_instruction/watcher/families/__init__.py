"""The kinds of models that can watch, by transformers' names."""

from __future__ import annotations

from collections.abc import Mapping

from fabula_workloads.recipes.visual_instruction.watcher.families.family import WatcherFamily
from fabula_workloads.recipes.visual_instruction.watcher.families.internvl import InternVl
from fabula_workloads.recipes.visual_instruction.watcher.families.qwen3_vl import Qwen3Vl
from fabula_workloads.runtime.failures import ConfigInvalid

FAMILIES: Mapping[str, type[WatcherFamily]] = {"qwen3_vl": Qwen3Vl, "internvl": InternVl}
"""By `model_type`."""


def watcher_family(model_type: str) -> type[WatcherFamily]:
    """The family of a model. Raises ConfigInvalid for one that cannot watch."""
    if model_type not in FAMILIES:
        raise ConfigInvalid(f"model: a {model_type} cannot be made a watcher; use one of {', '.join(sorted(FAMILIES))}")
    return FAMILIES[model_type]


__all__ = ["FAMILIES", "WatcherFamily", "watcher_family"]
