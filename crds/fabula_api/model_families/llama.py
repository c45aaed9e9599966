"""LLaMA, which sees nothing by itself, by the part of a model's name that says generation and size."""

from __future__ import annotations

from fabula_api.model_families.facts import ModelFacts

_THIRD = 128_256
"""Rows of the embeddings of LLaMA 3."""
MODELS: dict[str, ModelFacts] = {
    "llama-2-7b": ModelFacts("Llama-2-7B", 32, 4096, 11008, 32, 32, 0, 0, vocabulary=32_000),
    "llama-2-13b": ModelFacts("Llama-2-13B", 40, 5120, 13824, 40, 40, 0, 0, vocabulary=32_000),
    "llama-3-8b": ModelFacts("Llama-3-8B", 32, 4096, 14336, 32, 8, 0, 0, vocabulary=_THIRD),
    "llama-3.1-8b": ModelFacts("Llama-3.1-8B", 32, 4096, 14336, 32, 8, 0, 0, vocabulary=_THIRD),
    "llama-3.2-1b": ModelFacts("Llama-3.2-1B", 16, 2048, 8192, 32, 8, 0, 0, True, head_dimension=64, vocabulary=_THIRD),
    "llama-3.2-3b": ModelFacts("Llama-3.2-3B", 28, 3072, 8192, 24, 8, 0, 0, True, vocabulary=_THIRD),
}
