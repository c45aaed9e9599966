"""A run whose pods could not be told what to do: its config is more than one environment variable can hold."""

from __future__ import annotations

from fabula_api.artifact import canonical_json
from fabula_api.status import FailureDigest
from fabula_api.worker import CONFIG_VARIABLE
from fabula_operator.render.launch import Launch
from fabula_operator.render.literal import VARIABLE_LIMIT, fits
from fabula_operator.render.pod import config_text


def too_large(launch: Launch, root: str) -> FailureDigest | None:
    """Why no process could be started for the launch; None where one can be."""
    text = config_text(launch, root)
    if fits(text):
        return None
    spec = launch.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    parts = {name: len(canonical_json(part)) for name, part in spec.items()}
    largest = max(parts, key=lambda name: parts[name])
    return FailureDigest(
        reason="ConfigTooLarge",
        message=f"{CONFIG_VARIABLE} of stage {launch.stage} would take {len(text.encode()):,} bytes, and a process can "
        f"be given {VARIABLE_LIMIT:,}; shorten the spec, above all spec.{largest} with {parts[largest]:,} bytes",
        stage=launch.stage,
    )
