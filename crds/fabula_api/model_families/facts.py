"""Sizes of a model from its published configuration: parameters and memory follow from shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"})
_VISION = frozenset({"qkv", "proj", "linear_fc1", "linear_fc2"})
DENSE = _ATTENTION | _VISION | {"gate_proj", "up_proj", "down_proj", "lm_head"}
MIXTURE = _ATTENTION | _VISION | {"lm_head"}
"""Experts are stored as one tensor for all, which a name of a module does not reach."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A vision-language model's decoder by its shape, and its vision tower by its size."""

    label: str
    layers: int
    hidden: int
    feed_forward: int
    """Width of the MLP, or of one expert."""
    heads: int
    key_value_heads: int
    vision_parameters: int
    vision_hidden: int
    tied: bool = False
    """Input and output embedding are one matrix."""
    experts: int = 0
    active_experts: int = 0
    head_dimension: int = 128
    vocabulary: int = 151_936
    given_parameters: int | None = None
    """Number that the run itself names, in place of the one that follows from the shape."""

    @property
    def linear_layers(self) -> frozenset[str]:
        """Last parts of the names of its linear layers, which are what a low-rank update can be put on."""
        layers = MIXTURE if self.experts else DENSE
        return layers if self.vision_parameters else layers - _VISION

    @property
    def parameters(self) -> int:
        """All parameters, vision tower included."""
        return self.language_parameters + self.vision_parameters

    @property
    def language_parameters(self) -> int:
        """Those of the language model, embeddings and output matrix included."""
        if self.given_parameters is not None:
            return self.given_parameters
        return self.layer_parameters + self._embeddings

    @property
    def layer_parameters(self) -> int:
        """Those of the language model's layers."""
        if self.given_parameters is not None:
            return max(0, self.given_parameters - self._embeddings)
        return self.layers * self._layer(max(1, self.experts))

    @property
    def active_parameters(self) -> int:
        """Parameters of the language model that take part in one token."""
        if self.given_parameters is not None:
            return self.given_parameters
        return self.layers * self._layer(max(1, self.active_experts)) + self._embeddings

    @property
    def expert_parameters(self) -> int:
        """Those of all experts of one layer. They are two tensors of one module, which is gathered as a whole."""
        return self.experts * 3 * self.hidden * self.feed_forward

    @property
    def _embeddings(self) -> int:
        return (1 if self.tied else 2) * self.vocabulary * self.hidden

    def _layer(self, experts: int) -> int:
        attention = sum(width[0] * width[1] for width in self._attention().values())
        return attention + experts * 3 * self.hidden * self.feed_forward + self.experts * self.hidden

    def activation_elements(self) -> int:
        """Numbers that the backward pass needs of one layer, for each token: inputs and outputs of norms and
        matrices."""
        wide, narrow = self.heads * self.head_dimension, self.key_value_heads * self.head_dimension
        forward = self.feed_forward * max(1, self.active_experts)
        # Two norms and the residual between them; queries and keys before and after rotation; gate, up and product.
        return 5 * self.hidden + 3 * (wide + 2 * narrow) + 4 * forward

    def update_inputs(self, modules: Iterable[str]) -> int:
        """Numbers that go into the low-rank updates of one layer, on these modules, for each token."""
        wide = self.heads * self.head_dimension
        inputs = dict.fromkeys(("q_proj", "k_proj", "v_proj"), self.hidden) | {"o_proj": wide}
        if not self.experts:
            inputs |= {"gate_proj": self.hidden, "up_proj": self.hidden, "down_proj": self.feed_forward}
        return sum(inputs.get(name, 0) for name in set(modules))

    def _attention(self) -> dict[str, tuple[int, int]]:
        wide, narrow = self.heads * self.head_dimension, self.key_value_heads * self.head_dimension
        return {
            "q_proj": (self.hidden, wide), "k_proj": (self.hidden, narrow),
            "v_proj": (self.hidden, narrow), "o_proj": (wide, self.hidden),
        }  # fmt: skip

    def lora_parameters(self, rank: int, modules: Iterable[str]) -> int:
        """Trainable parameters of an update of that rank on the named layers; other names count nothing."""
        widths = self._attention()
        if not self.experts:
            widths |= dict.fromkeys(("gate_proj", "up_proj", "down_proj"), (self.hidden, self.feed_forward))
        return self.layers * rank * sum(sum(widths[name]) for name in set(modules) if name in widths)
