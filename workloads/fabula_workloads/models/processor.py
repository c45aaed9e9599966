"""The processor with its pixel window: training and inference both get it here, so they see the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.torchvision_shim import prepare_torchvision


def load_processor(path: Path | str, pixels: PixelWindow) -> Any:
    """The model's processor, resizing each picture to an area inside `pixels` (both sides multiples of patch x merge).

    Nothing is fetched: `path` is a folder. Raises OSError where it holds no processor, ValueError where its image
    processor knows no pixel window.
    """
    prepare_torchvision()
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    size = getattr(getattr(processor, "image_processor", None), "size", None)
    if size is None or "shortest_edge" not in size or "longest_edge" not in size:
        raise ValueError(
            f"the image processor in {Path(path).name} has no pixel window (size.shortest_edge/longest_edge)"
        )
    # Both keys are areas in pixels, whatever their names say.
    processor.image_processor.size = {"shortest_edge": pixels.min_pixels, "longest_edge": pixels.max_pixels}
    return processor
