"""Qwen3-VL, by the part of a model's name that says the size."""

from __future__ import annotations

from fabula_api.model_families.facts import ModelFacts

MODELS: dict[str, ModelFacts] = {
    "qwen3-vl-2b": ModelFacts("Qwen3-VL-2B", 28, 2048, 6144, 16, 8, 407_000_000, 1024, tied=True),
    "qwen3-vl-4b": ModelFacts("Qwen3-VL-4B", 36, 2560, 9728, 32, 8, 415_000_000, 1024, tied=True),
    "qwen3-vl-8b": ModelFacts("Qwen3-VL-8B", 36, 4096, 12288, 32, 8, 576_000_000, 1152),
    "qwen3-vl-32b": ModelFacts("Qwen3-VL-32B", 64, 5120, 25600, 64, 8, 595_000_000, 1152),
    "qwen3-vl-30b-a3b": ModelFacts(
        "Qwen3-VL-30B-A3B", 48, 2048, 768, 32, 4, 540_000_000, 1152, experts=128, active_experts=8
    ),
    "qwen3-vl-235b-a22b": ModelFacts(
        "Qwen3-VL-235B-A22B", 94, 4096, 1536, 64, 4, 576_000_000, 1152, experts=128, active_experts=8
    ),
}
