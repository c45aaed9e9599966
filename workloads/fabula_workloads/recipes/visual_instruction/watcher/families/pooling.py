"""Fewer tokens of a picture: its grid of vectors, made smaller as a picture is."""

from __future__ import annotations

import torch


def pooled_side(side: int, by: int) -> int:
    """Tokens along a side after pooling."""
    return -(-side // by)


def pooled(values: torch.Tensor, grid: tuple[int, int], by: int) -> torch.Tensor:
    """(pictures, fewer tokens, hidden) of (pictures, tokens, hidden), bilinear as published."""
    if by == 1:
        return values
    high, wide = grid
    laid = values.transpose(1, 2).reshape(len(values), -1, high, wide)
    size = pooled_side(high, by), pooled_side(wide, by)
    # Computed in fp32: there is no bilinear of bf16 on every device.
    small = torch.nn.functional.interpolate(laid.float(), size=size, mode="bilinear", align_corners=False)
    return small.flatten(2).transpose(1, 2).to(values.dtype)
