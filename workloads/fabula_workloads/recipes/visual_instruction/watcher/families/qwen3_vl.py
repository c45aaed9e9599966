"""Qwen3-VL as a watcher: pictures with vectors for several layers, positions in time, height and width. It is deaf."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.models.processor import load_processor
from fabula_workloads.recipes.visual_instruction.watcher.families.family import Seen
from fabula_workloads.recipes.visual_instruction.watcher.families.pooling import pooled, pooled_side
from fabula_workloads.recipes.visual_instruction.watcher.stream import PICTURE


class Qwen3Vl:
    """See `WatcherFamily`. `pixels` of the run bounds what its encoder is shown."""

    untouched: ClassVar[str] = r".*\.visual\..*"
    projector: ClassVar[tuple[str, ...]] = ("model.visual.merger.", "model.visual.deepstack_merger_list.")

    def __init__(self, folder: Path, pixels: PixelWindow, side: int, pooling: int) -> None:
        self._processor = load_processor(folder, pixels).image_processor
        self._side, self._pooling = side, pooling
        self.sound_encoder: Path | None = None

    @cached_property
    def _whole(self) -> tuple[int, int]:
        blank = self._processor(images=[Image.new("RGB", (self._side, self._side))], return_tensors="pt")
        _, high, wide = blank["image_grid_thw"][0].tolist()
        merge = self._processor.merge_size
        return high // merge, wide // merge

    @property
    def grid(self) -> tuple[int, int]:
        """See `WatcherFamily`."""
        high, wide = self._whole
        return pooled_side(high, self._pooling), pooled_side(wide, self._pooling)

    def pixels(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """(pictures, patches, values of a patch)."""
        processed = self._processor(images=list(pictures), return_tensors="pt")
        values: torch.Tensor = processed["pixel_values"]
        return values.reshape(len(pictures), -1, values.shape[-1])

    def pictures(self, model: Any, pixels: torch.Tensor) -> Seen:
        """See `WatcherFamily`."""
        high, wide = self._whole
        merge = self._processor.merge_size
        grids = torch.tensor([[1, high * merge, wide * merge]] * len(pixels), device=pixels.device)
        features = model.get_image_features(pixels.flatten(0, 1), grids)
        layers = [torch.stack(list(layer)) for layer in (features.pooler_output, *features.deepstack_features)]
        first, *deep = [pooled(layer, (high, wide), self._pooling) for layer in layers]
        return Seen(first, tuple(deep))

    def positions(self, kinds: Sequence[int]) -> torch.Tensor:
        """As the model counts them: a picture's tokens share a time; what follows goes on behind its longer side."""
        high, wide = self.grid
        positions_of: list[list[int]] = []
        place, index = 0, 0
        while index < len(kinds):
            if kinds[index] == PICTURE:
                positions_of += [[place, place + row, place + column] for row in range(high) for column in range(wide)]
                index += high * wide
                place += max(high, wide)
            else:
                positions_of.append([place] * 3)
                index, place = index + 1, place + 1
        return torch.tensor(positions_of).T.contiguous()

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
            inputs_embeds=values,
            position_ids=positions,
            visual_pos_masks=seen if deep else None,
            deepstack_visual_embeds=list(deep) or None,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return states
