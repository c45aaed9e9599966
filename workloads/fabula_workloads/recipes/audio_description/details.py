"""What the manifest of a dataset of this recipe tells."""

from __future__ import annotations

from fabula_api.base import Count
from fabula_api.details import DatasetDetails

PROMPT_VERSION = "audio-description-v1"


class NarrationDatasetDetails(DatasetDetails):
    """Of the `dataset` that assemble makes."""

    feature_shape: tuple[Count, ...]
    """Of one frame: (width,), or (features, width)."""
