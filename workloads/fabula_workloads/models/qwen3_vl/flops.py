"""Floating-point operations that a training step needs, from a model's config: the numerator of MFU.

Needed, not done: recomputed activations, padding and logits nobody asks for do not count, so none of them can make MFU
look better. The formula is in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabula_workloads.models.family import Needed

_FORWARD, _TRAINED, _FROZEN = 2, 6, 4
"""Operations a weight and token: forward only; forward and both backward products; without that of the weight."""


@dataclass(frozen=True, slots=True)
class ModelFlops:
    """Sizes of a model that decide what a step costs. All are counts of weights, if not said otherwise."""

    layers: int
    language: int
    """In the language layers' matrices."""
    lora: int
    attention_width: int
    """Heads times head width."""
    head: int
    """In the output matrix."""
    vision: int
    """In the vision tower, used once for each patch."""
    vision_depth: int
    vision_width: int
    merger: int
    """In the vision mergers, used once for each token that a picture becomes."""
    merged: int
    """Patches that become one token."""
    full: bool = False
    """The language weights and the output matrix are trained themselves."""

    @classmethod
    def of(cls, config: dict[str, Any], lora: int, *, full: bool = False) -> ModelFlops:
        """From a Qwen3-VL's config.json and the weights of its adapter. Raises KeyError for another layout."""
        text, vision = config["text_config"], config["vision_config"]
        hidden, inner = text["hidden_size"], text["intermediate_size"]
        heads, shared, width = text["num_attention_heads"], text["num_key_value_heads"], text["head_dim"]
        attention = 2 * hidden * heads * width + 2 * hidden * shared * width
        tower, tower_inner, merged = (
            vision["hidden_size"],
            vision["intermediate_size"],
            vision["spatial_merge_size"] ** 2,
        )
        patch = vision.get("in_channels", 3) * vision["temporal_patch_size"] * vision["patch_size"] ** 2
        joined = tower * merged
        mergers = 1 + len(vision["deepstack_visual_indexes"])
        return cls(
            layers=text["num_hidden_layers"],
            language=text["num_hidden_layers"] * attention + _units(text, hidden, inner),
            lora=lora,
            attention_width=heads * width,
            head=hidden * text["vocab_size"],
            vision=patch * tower + vision["depth"] * (4 * tower * tower + 2 * tower * tower_inner),
            vision_depth=vision["depth"],
            vision_width=tower,
            merger=mergers * (joined * joined + joined * vision["out_hidden_size"]),
            merged=merged,
            full=full,
        )

    def needed(self, lengths: Sequence[int], labelled: int, grids: Sequence[Sequence[int]]) -> float:
        """Operations to train on samples of these lengths, with that many labelled tokens and these picture grids
        (time, height, width in patches)."""
        return self.matrices(sum(lengths), labelled, grids) + self.attention(lengths) + self.looking(grids)

    def matrices(self, tokens: int, labelled: int, grids: Sequence[Sequence[int]]) -> float:
        """Of products with weights. The vision tower is frozen and first, so nothing flows back through it."""
        patches = sum(time * height * width for time, height, width in grids)
        seen = _FORWARD * patches * (self.vision + self.merger / self.merged)
        passes = _TRAINED if self.full else _FROZEN
        return (passes * self.language + _TRAINED * self.lora) * tokens + passes * self.head * labelled + seen

    def attention(self, lengths: Sequence[int]) -> float:
        """Of causal attention: two products of length x length x width a layer, half of each; backward twice that."""
        return 3.0 * 2 * self.layers * self.attention_width * sum(length * length for length in lengths)

    def looking(self, grids: Sequence[Sequence[int]]) -> float:
        """Of attention within pictures: the same two products, whole and forward only."""
        squares = sum((time * height * width) ** 2 for time, height, width in grids)
        return 4.0 * self.vision_depth * self.vision_width * squares


def _units(text: dict[str, Any], hidden: int, inner: int) -> int:
    """Weights of all layers' gated units; of a mixture of experts, the router's and those that one token meets."""
    layers, experts = text["num_hidden_layers"], text.get("num_experts") or 0
    dense = 3 * hidden * inner
    if not experts:
        return int(layers * dense)
    sparse = 3 * hidden * text["moe_intermediate_size"] * text["num_experts_per_tok"] + hidden * experts
    step, plain = text.get("decoder_sparse_step") or 1, text.get("mlp_only_layers") or ()
    mixed = sum(layer not in plain and (layer + 1) % step == 0 for layer in range(layers))
    return int(mixed * sparse + (layers - mixed) * dense)


def needed(config: dict[str, Any], lora: int, *, full: bool) -> Needed:
    """Counts the operations of a batch. Raises KeyError for a config of another layout."""
    return ModelFlops.of(config, lora, full=full).needed
