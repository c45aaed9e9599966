"""A base model held in 4 bits: one definition of what is quantised and how, for training and for inference."""

from __future__ import annotations

from typing import Any, Literal

from fabula_workloads.runtime.failures import ConfigInvalid

Quantization = Literal["none", "nf4"]

_NOT_LANGUAGE = r"(?!.*\blanguage_model\.).*"
"""Modules that keep their format: whatever is not in the language model's layers. The vision tower is a small share of
the memory, and the output matrix one of the quality."""


def nf4_config(dtype: Any) -> Any:
    """transformers' config for NF4 with double quantisation, computing in `dtype`.

    The packed weights are stored under the same dtype: DeepSpeed gathers and casts tensors by it.
    """
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype,
        llm_int8_skip_modules=[_NOT_LANGUAGE],
    )


def settle(model: Any) -> Any:
    """The loaded model, computing in evaluation as in training.

    Raises ConfigInvalid when a weight of the language layers stayed as it was: the memory would not be saved.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    held = []
    for path, module in model.get_decoder().named_modules():
        if isinstance(module, Linear4bit):
            # On a CPU with AVX-512 BF16 it would repack its weights in place at the first evaluation, round their
            # scales, and go on training with that; under ZeRO-3 the packed weights are lost at the next gathering.
            module.support_avx512bf16_for_cpu = False
        elif not isinstance(module, torch.nn.Embedding):
            matrices = any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
            held += [f"{path} ({type(module).__name__})"] if matrices else []
    if held:
        raise ConfigInvalid(
            f"quantization nf4: the model has weights that bitsandbytes cannot hold in 4 bits: {held[0]} and "
            f"{len(held) - 1} more; set it to none"
        )
    return model
