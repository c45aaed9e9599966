"""Operations that a pass needs, for MFU: as `docs/training.md` counts them for chat models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_workloads.models.family import Needed


def needed(config: Any, model: Any) -> Needed | None:
    """Counts a batch's operations; None for a language model whose config is laid out otherwise.

    A frozen weight of the decoder costs 2 operations a position forward and 2 for the gradient that passes through it,
    a trained one 2 more. The encoders of pictures and sound are left out: they are a few per cent.
    """
    from fabula_workloads.training.libraries.zero import elements

    text = config.get_text_config()
    names = ("num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads")
    if not all(hasattr(text, name) for name in names):
        return None
    layers, hidden, vocabulary, heads = (int(getattr(text, name)) for name in names)
    wide = heads * (getattr(text, "head_dim", None) or hidden // heads)
    decoder: int = sum(elements(p) for p in model.base.get_decoder().parameters() if not p.requires_grad)
    decoder -= vocabulary * hidden  # looked up, not multiplied
    trained = sum(elements(p) for p in model.parameters() if p.requires_grad)

    def count(lengths: Sequence[int], labelled: int, pictures: Sequence[Sequence[int]]) -> float:
        positions, squares = sum(lengths), sum(length * length for length in lengths)
        attention = 6.0 * squares * layers * wide
        return float(positions * (4.0 * decoder + 6.0 * trained) + attention + labelled * 4.0 * hidden * vocabulary)

    return count
