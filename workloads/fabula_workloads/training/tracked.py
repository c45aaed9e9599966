"""What trackers are told once of a training: the settings that decide it."""

from __future__ import annotations

from fabula_api.fine_tune_run import FineTuneRunSpec


def settings_of(spec: FineTuneRunSpec) -> dict[str, str | int | float | bool]:
    """What decides the training, as flat names: `training.learningRate`."""
    blocks = {"model", "lora", "training", "pixels", "deepspeed", "topology"}
    settings: dict[str, str | int | float | bool] = {"recipe": spec.recipe}
    for block, values in spec.model_dump(mode="json", by_alias=True, include=blocks, exclude_none=True).items():
        for name, value in values.items():
            settings[f"{block}.{name}"] = value if isinstance(value, str | int | float) else ",".join(map(str, value))
    return settings
