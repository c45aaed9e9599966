"""Positions of words and of what pictures hold, for samples that are packed in one sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def rope_index(model: Any) -> Callable[..., Any]:
    """The model's own rule for 3D positions, without its weights, so that loader workers can carry it.

    Takes input_ids and mm_token_type_ids (batch, length) and image_grid_thw; returns positions (3, batch, length).
    """
    owner = next(module for module in model.modules() if hasattr(type(module), "get_rope_index"))
    bare = object.__new__(type(owner))
    bare.__dict__["config"] = owner.config

    def positions(input_ids: Any, mm_token_type_ids: Any, image_grid_thw: Any) -> Any:
        return bare.get_rope_index(input_ids, mm_token_type_ids=mm_token_type_ids, image_grid_thw=image_grid_thw)[0]

    return positions


def unlike_in_vllm(config: Mapping[str, Any]) -> str | None:
    """transformers interleaves a picture's three positions whatever config.json says, vLLM only where it says so."""
    text = config.get("text_config") or {}
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    if "mrope_section" not in rope or rope.get("mrope_interleaved"):
        return None
    return (
        "config.json says nothing of text_config.rope_parameters.mrope_interleaved, so vllm would place pictures "
        "otherwise than in training: set it to true, as published models have it"
    )
