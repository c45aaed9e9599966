"""A video, watched by a model of a recipe that watches videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fabula_workloads.models.loading import Device
from fabula_workloads.recipe_parts.evaluation import VideoAsked, evaluation_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.telling.teller import memory_named
from fabula_workloads.telling.weights import Weights


def watch(
    weights: Weights,
    video: Path,
    device: Device,
    most_tokens: int,
    question: str | None,
    say: Callable[[float, str], None],
) -> None:
    """Tell each reply and its second once it is made. Raises ConfigInvalid for a model that watches no videos."""
    watches = evaluation_of(weights.recipe).watch
    if watches is None:
        raise ConfigInvalid(
            f"--video: a model of the recipe {weights.recipe} watches no videos; visual-instruction's do"
        )
    if weights.adapter is None:
        raise ConfigInvalid(
            "--video: name what was trained to watch (--adapter); a model alone does not know when to speak"
        )
    from fabula_workloads.models.adapter import UnfitAdapter
    from fabula_workloads.models.library_logs import quiet_libraries

    quiet_libraries()
    asked = VideoAsked(video, weights.model, weights.adapter, weights.pixels, device, most_tokens, question)
    try:
        with memory_named():
            watches(asked, say)
    except UnfitAdapter as error:
        raise InputInvalid(f"--adapter {weights.adapter} {error}") from error
    except (OSError, ValueError) as error:
        raise InputInvalid(f"{weights.label} cannot be loaded: {error}") from error
