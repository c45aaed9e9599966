"""Which sizes a run's model has: by its name, or by the number of parameters that the run gives.

An estimate needs nothing else, and the operator reads no weights.
"""

from __future__ import annotations

import re

from fabula_api.model_families import MODELS, ModelFacts
from fabula_api.shared_spec import ModelSource

WEIGHT_BYTES = 2
"""Of a published model, in bf16."""
_QUANTIZED = re.compile(r"(fp8|awq|gptq|int4|int8|nf4|4bit|8bit|gguf)")


def model_facts(name: str) -> ModelFacts | None:
    """Facts of a model by its Hub name or the last part of its folder; None for others, and for quantised weights."""
    last = name.rstrip("/").rpartition("/")[2].lower()
    if _QUANTIZED.search(last):
        return None
    keys = [key for key in MODELS if re.search(rf"(^|[^a-z0-9]){re.escape(key)}($|[^a-z0-9])", last)]
    return MODELS[max(keys, key=len)] if keys else None


def of_size(billions: float) -> ModelFacts:
    """A dense model of that size, with the shape that models of such a size usually have."""
    parameters = round(billions * 1e9)
    like = [model for model in MODELS.values() if model.vision_parameters and not model.experts]
    nearest = min(like, key=lambda model: abs(model.parameters - parameters))
    # Width and depth both grow with the cube root of the size.
    factor = (parameters / nearest.parameters) ** (1 / 3)
    return ModelFacts(
        f"a model of {billions:g} billion parameters",
        max(1, round(nearest.layers * factor)),
        max(128, round(nearest.hidden * factor / 128) * 128),
        max(128, round(nearest.feed_forward * factor / 128) * 128),
        nearest.heads,
        nearest.key_value_heads,
        0,
        nearest.vision_hidden,
        given_parameters=parameters,
    )


def fetched_bytes(model: ModelSource) -> int:
    """Of the weights that a pod downloads; 0 where they lie in a mounted folder, or their size is not known."""
    if not (model.name or (model.uri or "").startswith("s3://")):
        return 0
    facts = model_facts(model.name or model.uri or "")
    return WEIGHT_BYTES * facts.parameters if facts else 0
