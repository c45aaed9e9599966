"""NEFTune's noise: as much for each sample as it would get alone, whatever it is padded to or packed with.

The noise is scaled by 1/sqrt(length x width), with the sample's own length (Jain et al. 2023, arXiv 2310.05914). The
length of a padded or packed row would make it fainter, the more so the less alike the samples of a batch are.
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
        self.lengths: Sequence[int] = ()
        """Lengths of the samples that come next: one to a row, or all of them one after the other in a single row."""

    def attach(self, model: Any) -> None:
        """Add noise to this model's embeddings while it trains."""
        model.get_input_embeddings().register_forward_hook(self)

    def __call__(self, module: Any, _: Any, output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        rows, tokens, width = output.shape
        scales = [self._alpha / math.sqrt(length * width) for length in self.lengths]
        bound = torch.tensor(scales, device=output.device, dtype=output.dtype)
        if rows == 1:
            bound = bound.repeat_interleave(torch.tensor(self.lengths, device=output.device), output_size=tokens)
            bound = bound[None, :, None]
        else:
            bound = bound[:, None, None]
        return output + torch.empty_like(output).uniform_(-1, 1) * bound
