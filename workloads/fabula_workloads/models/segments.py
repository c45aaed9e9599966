"""Attention over several samples in one sequence, none of which sees another.

Nothing is computed that a block-diagonal mask would throw away, and no mask of length squared is made. On a GPU torch's
varlen kernel takes all samples in one call, whether flash-attn is installed or not: transformers would read the
samples' bounds for that from the position ids, and wait for the GPU in every layer. Elsewhere each sample goes through
the kernel that it would go through alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

SEGMENTS = "fabula_segments"
"""Name of the attention in transformers' registry."""


def packed_attention() -> str:
    """Name of the attention for packed sequences; registers it."""
    from transformers import AttentionInterface

    AttentionInterface.register(SEGMENTS, segment_attention)
    return SEGMENTS


def segment_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    segments: Sequence[int] | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """Causal attention inside each of the `segments` (their lengths, in order) of the one sequence.

    Raises ValueError where they are missing or do not fill the sequence: then samples would see each other.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if segments is None or query.shape[0] != 1 or sum(segments) != query.shape[2]:
        raise ValueError(f"{SEGMENTS} attention needs one sequence and the lengths of its samples, got {segments}")
    if not dropout and has_varlen_kernel(query):
        return _in_one_call(query, key, value, tuple(segments), scaling), None
    lengths = list(segments)
    parts = [
        sdpa_attention_forward(module, *part, None, dropout=dropout, scaling=scaling, is_causal=True)[0]
        for part in zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    ]
    return torch.cat(parts, dim=1), None


def has_varlen_kernel(query: Any) -> bool:
    """Whether torch's varlen kernel takes tensors like this one: bf16 or fp16 on a GPU of Ampere or later."""
    import torch

    if not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    return torch.cuda.get_device_capability(query.device) >= (8, 0)


def _in_one_call(query: Any, key: Any, value: Any, segments: tuple[int, ...], scaling: float | None) -> Any:
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = _bounds(segments, query.device), max(segments)
    queries, keys, values = (part[0].transpose(0, 1) for part in (query, key, value))  # (length, heads, width)
    causal = (-1, 0)
    out: Any = varlen_attn(
        queries, keys, values, bounds, bounds, longest, longest, scale=scaling, window_size=causal, enable_gqa=True
    )
    return out[None]


@lru_cache(maxsize=4)
def _bounds(segments: tuple[int, ...], device: Any) -> Any:
    """Where the samples begin and end; kept, for each layer asks for it and copying it to a GPU waits for the GPU."""
    import torch

    return torch.tensor([0, *itertools.accumulate(segments)], dtype=torch.int32, device=device)
