"""Full fine-tuning: which weights of a model are trained when no adapter is."""

from __future__ import annotations

from typing import Any


def train_language(model: Any) -> Any:
    """The model with its language part trained, embeddings and output matrix included, and all else frozen."""
    model.requires_grad_(False)
    model.get_decoder().requires_grad_(True)
    model.get_output_embeddings().requires_grad_(True)
    return model
