"""NEFTune's noise for packed sequences: as much for each sample as it would get alone.

The noise is scaled by 1/sqrt(length x width). The length of a packed row would make it fainter the better it is packed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch


class SampleNoise:
    """A forward hook on the embeddings; tell it the samples' lengths before each pass."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self.segments: Sequence[int] = ()
        """Lengths of the samples in the row that comes next."""

    def attach(self, model: Any) -> None:
        """Add noise to this model's embeddings while it trains."""
        model.get_input_embeddings().register_forward_hook(self)

    def __call__(self, module: Any, _: Any, output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        scales = [self._alpha / math.sqrt(length * output.shape[-1]) for length in self.segments]
        bound = torch.tensor(scales, device=output.device, dtype=output.dtype).repeat_interleave(
            torch.tensor(self.segments, device=output.device), output_size=output.shape[1]
        )
        return output + torch.empty_like(output).uniform_(-1, 1) * bound[None, :, None]
