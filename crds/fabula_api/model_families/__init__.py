"""Families of models as data: what a run's estimate needs to know of each size. A family is a file."""

from fabula_api.model_families.facts import ModelFacts
from fabula_api.model_families.llama import MODELS as LLAMA
from fabula_api.model_families.qwen import MODELS as QWEN
from fabula_api.model_families.qwen3_vl import MODELS as QWEN3_VL

MODELS: dict[str, ModelFacts] = {**QWEN3_VL, **QWEN, **LLAMA}
"""By the part of the name that says the size."""

__all__ = ["MODELS", "ModelFacts"]
