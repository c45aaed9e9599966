"""Attention over all pictures of a pass at once.

Pictures lie one after the other in one sequence, and none sees another. transformers cuts the sequence up in every
layer and asks the GPU for the places of the cuts each time, three times a layer: the CPU waits for it, and the GPU then
for the CPU. Here they are asked for once a pass. On a GPU that has the kernel one call then takes all pictures;
elsewhere each goes through the kernel that it would go through anyway, so that no bit changes.
"""

from __future__ import annotations

import weakref
from types import MethodType
from typing import Any

from fabula_workloads.models.segments import has_varlen_kernel


def attend_at_once(model: Any) -> None:
    """Let this model's vision tower attend so, in training and at inference."""
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionAttention
    from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeVisionAttention

    cuts = _Cuts()

    def forward(self: Any, hidden_states: Any, cu_seqlens: Any, position_embeddings: Any = None, **_: Any) -> Any:
        return _attend(self, hidden_states, cu_seqlens, position_embeddings, cuts)

    for module in model.modules():
        if isinstance(module, Qwen3VLVisionAttention | Qwen3VLMoeVisionAttention):
            module.forward = MethodType(forward, module)


class _Cuts:
    """Lengths of the pictures of the pass at work: every layer is given the same tensor of bounds."""

    def __init__(self) -> None:
        self._bounds: weakref.ref[Any] | None = None
        self._lengths: list[int] = []

    def of(self, bounds: Any) -> list[int]:
        if self._bounds is None or self._bounds() is not bounds:
            self._lengths = bounds.diff().tolist()
            self._bounds = weakref.ref(bounds)
        return self._lengths


def _attend(module: Any, hidden: Any, bounds: Any, rotary: Any, cuts: _Cuts) -> Any:
    from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision

    length = hidden.shape[0]
    query, key, value = module.qkv(hidden).reshape(length, 3, module.num_heads, -1).permute(1, 0, 2, 3).unbind(0)
    query, key = apply_rotary_pos_emb_vision(query, key, *rotary)
    lengths, attention = cuts.of(bounds), module.config._attn_implementation
    if attention == "sdpa" and has_varlen_kernel(query):
        from torch.nn.attention.varlen import varlen_attn

        longest = max(lengths)
        out: Any = varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=module.scaling)
    else:
        out = _one_by_one(module, query, key, value, lengths, attention)
    return module.proj(out.reshape(length, -1).contiguous())


def _one_by_one(module: Any, query: Any, key: Any, value: Any, lengths: list[int], attention: str) -> Any:
    import torch
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from transformers.models.qwen3_vl.modeling_qwen3_vl import eager_attention_forward

    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention, eager_attention_forward)
    heads_first = (part.transpose(0, 1)[None].split(lengths, 2) for part in (query, key, value))
    parts = [
        attend(module, *picture, attention_mask=None, scaling=module.scaling, dropout=0.0, is_causal=False)[0]
        for picture in zip(*heads_first, strict=True)
    ]
    return torch.cat(parts, dim=1)
