"""What is trained on: samples of random tokens and pixels, with the lengths that make packing and padding differ."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import shapes
import torch

Encoded = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """Lengths of the samples, and the length of a packed sequence."""

    name: str
    samples: int
    text: tuple[int, int]
    pictures: tuple[int, int]
    grid: tuple[int, int]
    """Patches of a picture, high and wide; four of them are one token."""
    capacity: int
    mfu_goal: float | None = None


CPU = (
    Data("short", 48, (24, 160), (1, 1), (4, 4), 1024),
    Data("podcast, an eighth", 24, (120, 180), (1, 5), (14, 14), 1024),
)
GPU = (
    Data("podcast", 24, (900, 1400), (1, 5), (30, 54), 8192, mfu_goal=0.40),
    Data("long text", 12, (2000, 8000), (1, 1), (4, 4), 8192, mfu_goal=0.45),
    Data("short", 96, (64, 512), (1, 1), (16, 16), 8192),
)
"""30 x 54 patches are the 405 tokens of a 1344 x 768 picture in the default window; 8,192 is the default maxLength."""


def samples(data: Data, vocabulary: int, seed: int = 0) -> list[Encoded]:
    """Encoded samples: pictures, question, and an answer of three quarters of the text."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    high, wide = data.grid
    made = []
    for _ in range(data.samples):
        pictures, text = rng.randint(*data.pictures), rng.randint(*data.text)
        picture = [shapes.VISION_START, *[shapes.IMAGE] * (high * wide // 4), shapes.VISION_END]
        seen = torch.tensor(picture * pictures)
        said = torch.randint(8, vocabulary, (text,), generator=generator)
        ids = torch.cat([seen, said])
        labels = ids.clone()
        labels[: len(seen) + text // 4] = -100
        made.append(
            {
                "input_ids": ids,
                "labels": labels,
                "mm_token_type_ids": (ids == shapes.IMAGE).int(),
                "pixel_values": torch.randn(pictures * high * wide, 3 * 2 * 16 * 16, generator=generator),
                "image_grid_thw": torch.tensor([[1, high, wide]] * pictures),
            }
        )
    return made
