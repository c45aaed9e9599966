"""Sound as vectors: whole seconds of 16 kHz through an encoder of transformers (Wav2Vec2-BERT's kind: 80 mel bands, 49
steps a second), then a convolution that makes 12 tokens of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fabula_workloads.video.sound import RATE

TOKENS = 12
"""Of one second."""
_STRIDE = 4


class Ears:
    """Features of seconds of sound, as the encoder takes them."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoFeatureExtractor

        self._extractor = AutoFeatureExtractor.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )

    def features(self, seconds: NDArray[np.int16]) -> torch.Tensor:
        """(seconds, steps, bands) of (seconds, 16,000)."""
        waves = [second.astype(np.float32) / 2**15 for second in seconds]
        features: torch.Tensor = self._extractor(waves, sampling_rate=RATE, return_tensors="pt")["input_features"]
        return features


class Hearing(nn.Module):
    """A frozen encoder, and the convolutional adapter that is trained."""

    def __init__(self, encoder: Any, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.adapter = nn.Conv1d(int(encoder.config.hidden_size), hidden, kernel_size=_STRIDE, stride=_STRIDE)
        self.project = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(seconds, TOKENS, hidden)."""
        with torch.no_grad():
            heard = self.encoder(input_features=features).last_hidden_state
        small = self.adapter(heard.transpose(1, 2)).transpose(1, 2)[:, :TOKENS]
        values: torch.Tensor = self.project(small)
        return values


def load_encoder(folder: Path, dtype: torch.dtype) -> Any:
    """The encoder of sound in a folder."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(str(folder), dtype=dtype, local_files_only=True, trust_remote_code=False)
