"""Qwen2.5 and Qwen3 without a vision tower, by the part of a model's name that says generation and size."""

from __future__ import annotations

from fabula_api.model_families.facts import ModelFacts


def _text(
    label: str,
    layers: int,
    hidden: int,
    feed_forward: int,
    heads: int,
    key_value_heads: int,
    *,
    tied: bool = False,
    head_dimension: int = 128,
    vocabulary: int = 151_936,
) -> ModelFacts:
    return ModelFacts(
        label, layers, hidden, feed_forward, heads, key_value_heads, 0, 0, tied,
        head_dimension=head_dimension, vocabulary=vocabulary,
    )  # fmt: skip


_WIDE = 152_064
"""Rows of the embeddings of Qwen2.5 from 7B on."""
MODELS: dict[str, ModelFacts] = {
    "qwen2.5-0.5b": _text("Qwen2.5-0.5B", 24, 896, 4864, 14, 2, tied=True, head_dimension=64),
    "qwen2.5-1.5b": _text("Qwen2.5-1.5B", 28, 1536, 8960, 12, 2, tied=True),
    "qwen2.5-3b": _text("Qwen2.5-3B", 36, 2048, 11008, 16, 2, tied=True),
    "qwen2.5-7b": _text("Qwen2.5-7B", 28, 3584, 18944, 28, 4, vocabulary=_WIDE),
    "qwen2.5-14b": _text("Qwen2.5-14B", 48, 5120, 13824, 40, 8, vocabulary=_WIDE),
    "qwen2.5-32b": _text("Qwen2.5-32B", 64, 5120, 27648, 40, 8, vocabulary=_WIDE),
    "qwen2.5-72b": _text("Qwen2.5-72B", 80, 8192, 29568, 64, 8, vocabulary=_WIDE),
    "qwen3-0.6b": _text("Qwen3-0.6B", 28, 1024, 3072, 16, 8, tied=True),
    "qwen3-1.7b": _text("Qwen3-1.7B", 28, 2048, 6144, 16, 8, tied=True),
    "qwen3-4b": _text("Qwen3-4B", 36, 2560, 9728, 32, 8, tied=True),
    "qwen3-8b": _text("Qwen3-8B", 36, 4096, 12288, 32, 8),
    "qwen3-14b": _text("Qwen3-14B", 40, 5120, 17408, 40, 8),
    "qwen3-32b": _text("Qwen3-32B", 64, 5120, 25600, 64, 8),
}
