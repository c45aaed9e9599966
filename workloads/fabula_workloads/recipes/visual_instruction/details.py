"""What the manifests of this recipe's artifacts tell."""

from __future__ import annotations

from fabula_api.details import DatasetDetails

PROMPT_VERSION = "visual-instruction-v1"


class VideoDatasetDetails(DatasetDetails):
    """Of the `dataset` that assemble makes."""

    fps: float
    """Pictures a second; of samples that are too short for it more."""
    side: int
    """Sides of a picture in pixels."""
    sound: bool
    """Whether shards hold sound."""
