"""How the families of models that see pictures beside texts want their text: what each was trained on, and so reads.

Which one a folder holds, its config.json says. What they have in common is `clip_model`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TextFeeding:
    """How one family is given text."""

    lower: bool = False
    """Its texts were in lower case."""
    full_length: bool = False
    """Each text is padded on the right to the model's own length, and its padding is read like text: SigLIP pools the
    last position, whatever stands there, and knows no mask (Zhai et al., 2023; Tschannen et al., 2025)."""


FAMILIES: dict[str, TextFeeding] = {
    "clip": TextFeeding(),
    "metaclip_2": TextFeeding(),
    "siglip": TextFeeding(lower=True, full_length=True),
    "siglip2": TextFeeding(lower=True, full_length=True),
}
"""By `model_type`. A CLIP for long texts (Long-CLIP) is `clip` with more positions; SigLIP 2 is `siglip` where its
pictures have one size, and `siglip2` where they keep their shape (NaFlex)."""


def feeding_of(config: Any) -> TextFeeding:
    """The family's, by the model's config. Raises ValueError naming those that are known."""
    kind = getattr(config, "model_type", None)
    if kind not in FAMILIES:
        raise ValueError(f"config.json says model_type {kind}; known are {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def picture_side(config: Any) -> int:
    """Side of the square that the model sees a picture as, in pixels; of one that keeps shapes, of a square of its
    patches."""
    vision = config.vision_config
    side: int | None = getattr(vision, "image_size", None)
    return side or round(vision.num_patches**0.5) * vision.patch_size


def width(config: Any) -> int:
    """Length of its vectors."""
    return int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)
