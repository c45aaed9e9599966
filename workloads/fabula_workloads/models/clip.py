"""A CLIP, or one of its kin, as it sees pictures: for metrics that compare them with texts, and for recipes that keep
features of films.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fabula_workloads.models.clip_families import feeding_of
from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import check_loaded
from fabula_workloads.models.stored_files import check_folder
from fabula_workloads.models.torchvision_shim import prepare_torchvision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


class Clip:
    """A `transformers` model of texts and pictures with its image processor."""

    def __init__(self, source: str | Path, *, revision: str | None = None, device: str = "cpu") -> None:
        """Raises OSError, ValueError or DamagedFile where `source` holds no such model, or not all of one."""
        prepare_torchvision()
        quiet_libraries()
        from transformers import AutoConfig, AutoImageProcessor, AutoModel

        self.device = device
        if Path(source).is_dir():
            check_folder(Path(source))
        where: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(source, **where)
        self.feeding = feeding_of(config)
        model, told = AutoModel.from_pretrained(
            source, config=config, output_loading_info=True, ignore_mismatched_sizes=True, weights_only=True, **where
        )
        check_loaded(told)
        self.model: Any = model.to(device).eval()
        # Pillow resizes the same on every machine; the torchvision backend depends on its build.
        self.processor: Any = AutoImageProcessor.from_pretrained(source, backend="pil", **where)

    def features(self, pictures: Sequence[Image]) -> NDArray[np.float32]:
        """(pictures, width), as the model gives them: not scaled to unit length."""
        import numpy as np

        return np.asarray(self.tensor(pictures).float().cpu().numpy(), dtype=np.float32)

    def tensor(self, pictures: Sequence[Image]) -> torch.Tensor:
        """The same on the model's device."""
        shown = self.processor(images=list(pictures), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            return features_of(self.model.get_image_features(**shown))


def features_of(output: Any) -> torch.Tensor:
    """transformers 5 wraps the features in an output object."""
    features: torch.Tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return features
