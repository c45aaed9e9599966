"""Fused kernels for what a language layer does between its large products: norms, rotary positions, the gated unit.

Written out in torch they read and write each activation several times over; Liger's do so once. Loss and gradients are
the same to float tolerance, which `tests/unit/workloads/test_training_liger.py` holds where Liger is installed.
"""

from __future__ import annotations

from types import MethodType
from typing import Any


def use_liger(model: Any) -> None:
    """Let this model's language layers use Liger's kernels, and any Qwen3-VL of the process its rotary positions.

    Before LoRA is added. Kernel by kernel, since Liger 0.8.5's own entry for Qwen3-VL imports an output class that
    transformers 5.23 no longer has. Its fused loss is left out: it wants the output matrix outside of the module that
    gathers it under ZeRO-3, and `training.model.loss` holds as few logits.
    """
    from liger_kernel.transformers.rms_norm import LigerRMSNorm
    from liger_kernel.transformers.rope import liger_rotary_pos_emb
    from liger_kernel.transformers.swiglu import LigerSwiGLUMLP
    from transformers.models.qwen3_vl import modeling_qwen3_vl

    modeling_qwen3_vl.apply_rotary_pos_emb = liger_rotary_pos_emb
    for module in model.model.language_model.modules():
        if isinstance(module, modeling_qwen3_vl.Qwen3VLTextRMSNorm):
            # `llama`: only the mean is taken in fp32, as in the model's own.
            settings = {"offset": 0.0, "casting_mode": "llama", "in_place": True, "row_mode": None}
            for name, value in settings.items():
                setattr(module, name, value)
            module.forward = MethodType(LigerRMSNorm.forward, module)
        elif isinstance(module, modeling_qwen3_vl.Qwen3VLTextMLP):
            module.forward = MethodType(LigerSwiGLUMLP.forward, module)
