"""Models to measure with: the real architecture with random weights, at sizes for a CPU and at Qwen3-VL's own."""

from __future__ import annotations

from typing import Any

TEXT = {
    # name: hidden, inner, layers, heads, key-value heads, head width, vocabulary
    "cpu": (256, 768, 4, 8, 4, 32, 2048),
    "2B": (2048, 6144, 28, 16, 8, 128, 151936),
    "4B": (2560, 9728, 36, 32, 8, 128, 151936),
    "8B": (4096, 12288, 36, 32, 8, 128, 151936),
    "32B": (5120, 25600, 64, 64, 8, 128, 151936),
}
VISION = {
    # name: hidden, inner, depth, heads, layers whose features go to the language model too
    "cpu": (64, 128, 2, 2, [0, 1]),
    "2B": (1024, 4096, 24, 16, [5, 11, 17]),
    "4B": (1024, 4096, 24, 16, [5, 11, 17]),
    "8B": (1152, 4304, 27, 16, [8, 16, 24]),
    "32B": (1152, 4304, 27, 16, [8, 16, 24]),
}
IMAGE, VISION_START, VISION_END = 3, 1, 2
"""Token ids; a benchmark needs no tokenizer."""


def config(shape: str) -> Any:
    """Config of that shape."""
    from transformers import Qwen3VLConfig

    hidden, inner, layers, heads, shared, width, vocabulary = TEXT[shape]
    vision_hidden, vision_inner, depth, vision_heads, deepstack = VISION[shape]
    part = width // 8
    return Qwen3VLConfig(
        text_config={
            "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": shared, "head_dim": width,
            "max_position_embeddings": 262144,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5_000_000.0,
                "mrope_section": [3 * part // 2, 5 * part // 4, 5 * part // 4],
            },
        },
        vision_config={
            "depth": depth, "hidden_size": vision_hidden, "intermediate_size": vision_inner, "num_heads": vision_heads,
            "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2, "out_hidden_size": hidden,
            "num_position_embeddings": 2304, "deepstack_visual_indexes": deepstack,
        },
        image_token_id=IMAGE,
        video_token_id=4,
        vision_start_token_id=VISION_START,
        vision_end_token_id=VISION_END,
        tie_word_embeddings=shape in ("2B", "4B"),
    )  # fmt: skip


def model(shape: str, device: str, *, liger: bool = False) -> Any:
    """The model with LoRA on all linear layers of its language part, ready to train; how, the variant sets."""
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    from fabula_api.fine_tune_run import Lora
    from fabula_workloads.models.qwen3_vl.kernels import use_liger
    from fabula_workloads.training.model.trained_weights import add_lora

    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        made = Qwen3VLForConditionalGeneration._from_config(config(shape), dtype=dtype, attn_implementation="sdpa")
    made.config.use_cache = made.config.text_config.use_cache = False
    if liger:
        use_liger(made)
    # No dropout: the losses of the variants are compared.
    tuned = add_lora(made, Lora(dropout=0.0), shape).train().to(device)
    tuned.enable_input_require_grads()
    return tuned
