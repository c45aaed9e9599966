"""Operations that a pass needs, for MFU: as `docs/training.md` counts them for chat models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabula_workloads.models.family import Needed


def needed(config: Any, model: Any) -> Needed | None:
    """Counts a batch's operations; None for a language model whose config is laid out otherwise.

    A frozen weight costs 2 operations a token forward and 2 for the gradient that passes through it, a trained one 2
    more. Mappings are counted row by row: `pictures` are (rows, frames, parts) of clips, and then of characters.
    """
    from fabula_workloads.training.libraries.zero import elements, shape

    text = config.get_text_config()
    layers, hidden = getattr(text, "num_hidden_layers", None), getattr(text, "hidden_size", None)
    vocabulary = getattr(text, "vocab_size", None)
    if layers is None or hidden is None or vocabulary is None:
        return None
    wide = text.num_attention_heads * getattr(text, "head_dim", hidden // text.num_attention_heads)
    matrices = [weight for weight in model.causal.get_decoder().parameters() if len(shape(weight)) > 1]
    frozen = sum(elements(weight) for weight in matrices if not weight.requires_grad)
    frozen -= vocabulary * hidden  # looked up, not multiplied
    trained = sum(elements(weight) for weight in matrices if weight.requires_grad)
    new = 0 if model.heads is None else elements(model.heads.weight)

    def count(lengths: Sequence[int], labelled: int, pictures: Sequence[Sequence[int]]) -> float:
        tokens, squares = sum(lengths), sum(length * length for length in lengths)
        attention = 6.0 * squares * layers * wide
        language = tokens * (4.0 * frozen + 6.0 * trained) + labelled * (4.0 * hidden * vocabulary + 6.0 * new)
        return float(language + attention + mapping_operations(model, pictures))

    return count


def mapping_operations(model: Any, pictures: Sequence[Sequence[int]]) -> float:
    """Of a narrator's mappings, for (rows, frames, parts) of clips, and then of characters; none for a reader."""
    if not pictures:
        return 0.0
    mapping, (clips, faces) = model.tune.mapping, pictures
    return float(
        clips[0] * model.clips.operations(mapping.latents, *clips[1:])
        + faces[0] * model.faces.operations(mapping.character_latents, *faces[1:])
    )
