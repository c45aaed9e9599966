"""The 32B model's shape, and a copy with every width a 32nd and fewer layers: the same modules in the same order.

What is gathered when depends on the order of modules and on limits counted in elements, not on what is computed. So the
copy runs under the production config with those limits scaled as its layers are, and what it gathers by name is what
the model gathers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LAYERS, BLOCKS = 10, 6
"""Language layers and vision blocks of the copy."""
LAYERS_OF_MODEL, BLOCKS_OF_MODEL = 64, 27
INNER_LAYER, INNER_BLOCK = "language_model.layers.5.", "visual.blocks.2."
"""Those that stand for the ones left out: neither end is near."""
LORA_RANK, LORA_RANK_OF_COPY = 16, 1
_TEXT = {
    "vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": LAYERS,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": [24, 20, 20]},
}  # fmt: skip
_VISION = {
    "depth": BLOCKS, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16,
    "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": 5120, "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [1, 3, 5],
}  # fmt: skip
_TEXT_OF_COPY = _TEXT | {
    "vocab_size": 4748, "hidden_size": 160, "intermediate_size": 800, "num_attention_heads": 8,
    "num_key_value_heads": 1, "head_dim": 32,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": [6, 5, 5]},
}  # fmt: skip
_VISION_OF_COPY = _VISION | {
    "hidden_size": 36, "intermediate_size": 134, "num_heads": 1, "out_hidden_size": 160, "num_position_embeddings": 64,
}  # fmt: skip
HIDDEN = 5120


def sizes(*, copy: bool) -> dict[str, int]:
    """Elements of each parameter by name, LoRA's included, with the copy's number of layers; nothing is allocated."""
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    from fabula_api.fine_tune_run import Lora
    from fabula_workloads.training.model.trained_weights import add_lora

    rank = LORA_RANK_OF_COPY if copy else LORA_RANK
    with torch.device("meta"):
        tuned = add_lora(Qwen3VLForConditionalGeneration(_config(copy=copy)), Lora(rank=rank), "32B")
    return {name: parameter.numel() for name, parameter in tuned.named_parameters()}


def build(folder: Path, corpus: list[str]) -> None:
    """Write the copy, with a tokenizer and an image processor."""
    import torch
    from transformers import AutoConfig, Qwen3VLForConditionalGeneration

    from fabula_quickstart.tiny import qwen3_vl

    qwen3_vl.build(folder, corpus)
    tiny = AutoConfig.from_pretrained(folder).to_dict()
    tokens = {name: value for name, value in tiny.items() if name.endswith("_token_id") and value is not None}
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(_config(copy=True, **tokens)).save_pretrained(folder)


def scaled(config: dict[str, Any], model: dict[str, int], copy: dict[str, int]) -> dict[str, Any]:
    """A DeepSpeed config whose limits in elements are for the copy what those given are for the model."""
    zero = dict(config["zero_optimization"])
    share = _of_layers(copy) / _of_layers(model)
    for key in ("stage3_prefetch_bucket_size", "stage3_max_live_parameters", "stage3_max_reuse_distance"):
        if key in zero:
            zero[key] = round(zero[key] * share)
    if (key := "stage3_param_persistence_threshold") in zero:
        kept = {name for name, size in model.items() if size <= zero[key]}
        zero[key] = max(copy[name] for name in kept)
        if other := {name for name, size in copy.items() if size <= zero[key]} ^ kept:
            raise ValueError(f"no threshold keeps the same parameters in the copy: {sorted(other)[:3]}")
    return config | {"zero_optimization": zero}


def whole(by_name: dict[str, float]) -> float:
    """A sum over the model's parameters from one over those of its first layers: inner ones stand for the rest."""
    total = sum(by_name.values())
    for inner, more in ((INNER_LAYER, LAYERS_OF_MODEL - LAYERS), (INNER_BLOCK, BLOCKS_OF_MODEL - BLOCKS)):
        total += more * sum(value for name, value in by_name.items() if inner in name)
    return total


def _config(*, copy: bool, **tokens: int) -> Any:
    from transformers import Qwen3VLConfig

    text, vision = (_TEXT_OF_COPY, _VISION_OF_COPY) if copy else (_TEXT, _VISION)
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **tokens)


def _of_layers(parameters: dict[str, int]) -> int:
    return sum(size for name, size in parameters.items() if "language_model.layers." in name)
