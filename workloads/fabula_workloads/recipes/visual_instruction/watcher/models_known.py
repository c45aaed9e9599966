"""Which kinds of models can be made watchers, for those who have no torch."""

from __future__ import annotations

from pathlib import Path

KNOWN = ("qwen3_vl", "internvl")
"""By `model_type`; `families` has a class for each."""
HEARING = ("internvl",)
"""Those that hear, where their folder has an encoder of sound."""


def audio_encoder_of(model: Path) -> Path:
    """Where it lies."""
    return model / "audio_encoder"
