"""InternVL with a Qwen2.5 as a watcher: InternViT, pixel shuffle, projector; and, where the model's folder has one
below `audio_encoder`, an encoder of sound. One picture is one tile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL.Image import Image, Resampling

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.recipes.visual_instruction.watcher.families.family import Seen
from fabula_workloads.recipes.visual_instruction.watcher.families.pooling import pooled, pooled_side

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What InternViT was trained with, where no preprocessor_config.json says otherwise."""
AUDIO_ENCODER = "audio_encoder"


class InternVl:
    """See `WatcherFamily`. Its encoder takes squares of one size, whatever the window of pixels is."""

    untouched: ClassVar[str] = r".*\.(vision_tower|multi_modal_projector)\..*"
    projector: ClassVar[tuple[str, ...]] = ("model.multi_modal_projector.",)

    def __init__(self, folder: Path, pixels: PixelWindow, side: int, pooling: int) -> None:
        config = json.loads((folder / "config.json").read_bytes())
        vision = config["vision_config"]
        size, patch = vision["image_size"], vision["patch_size"]
        self._size = int(size[0] if isinstance(size, list) else size)
        patch = int(patch[0] if isinstance(patch, list) else patch)
        self._side = int(self._size / patch * float(config.get("downsample_ratio", 0.5)))
        self._pooling = pooling
        given = folder / "preprocessor_config.json"
        told = json.loads(given.read_bytes()) if given.is_file() else {}
        self._mean = np.array(told.get("image_mean", _MEAN), np.float32)
        self._std = np.array(told.get("image_std", _STD), np.float32)
        sound = folder / AUDIO_ENCODER
        self.sound_encoder: Path | None = sound if (sound / "config.json").is_file() else None

    @property
    def grid(self) -> tuple[int, int]:
        """See `WatcherFamily`."""
        side = pooled_side(self._side, self._pooling)
        return side, side

    def pixels(self, pictures: Sequence[Image]) -> torch.Tensor:
        """(pictures, 3, size, size)."""
        arrays = [
            np.asarray(picture.convert("RGB").resize((self._size, self._size), Resampling.BICUBIC), np.float32) / 255
            for picture in pictures
        ]
        return torch.from_numpy(np.stack([((array - self._mean) / self._std).transpose(2, 0, 1) for array in arrays]))

    def pictures(self, model: Any, pixels: torch.Tensor) -> Seen:
        """See `WatcherFamily`."""
        values = model.model.get_image_features(pixel_values=pixels).pooler_output
        return Seen(pooled(values, (self._side, self._side), self._pooling))

    def positions(self, kinds: Sequence[int]) -> torch.Tensor:
        """One after another."""
        return torch.arange(len(kinds)).expand(3, -1).contiguous()

    def decode(
        self,
        model: Any,
        values: torch.Tensor,
        positions: torch.Tensor,
        seen: torch.Tensor,
        deep: Sequence[Any],
        cache: Any,
    ) -> torch.Tensor:
        """See `WatcherFamily`."""
        states: torch.Tensor = model.model.language_model(
            inputs_embeds=values, position_ids=positions[0], past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        return states
