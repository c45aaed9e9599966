"""Operations that a pass needs, for MFU: as `docs/training.md` counts them for chat models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_workloads.models.family import Needed


def needed(config: Any, model: Any) -> Needed | None:
    """Counts a batch's operations; None for a language model whose config is laid out otherwise.

    A frozen weight costs 2 operations a token forward and 2 for the gradient that passes through it, a trained one 2
    more. Mappings cost as if their weights met each token of a prompt's vectors; they are a few per cent.
    """
    from fabula_workloads.training.libraries.zero import elements

    text = config.get_text_config()
    layers, hidden = getattr(text, "num_hidden_layers", None), getattr(text, "hidden_size", None)
    vocabulary = getattr(text, "vocab_size", None)
    if layers is None or hidden is None or vocabulary is None:
        return None
    wide = text.num_attention_heads * getattr(text, "head_dim", hidden // text.num_attention_heads)
    decoder: int = sum(elements(p) for p in model.causal.get_decoder().parameters() if not p.requires_grad)
    decoder -= vocabulary * hidden  # looked up, not multiplied
    trained = sum(elements(p) for p in model.parameters() if p.requires_grad)

    def count(lengths: Sequence[int], labelled: int, pictures: Sequence[Sequence[int]]) -> float:
        tokens, squares = sum(lengths), sum(length * length for length in lengths)
        attention = 6.0 * squares * layers * wide
        layers_flops: float = tokens * (4.0 * decoder + 6.0 * trained)
        return float(layers_flops + attention + labelled * 4.0 * hidden * vocabulary)

    return count
