"""A tiny InternVL with a Qwen2.5, and an encoder of sound: every part of the real ones, with random weights."""

from __future__ import annotations

from pathlib import Path

from fabula_quickstart.watching import corpus
from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.torchvision_shim import prepare_torchvision

HIDDEN = 64


def build_internvl(folder: Path, *, hears: bool) -> Path:
    """Write the model, its tokenizer and picture settings; with `hears` an `audio_encoder` too."""
    prepare_torchvision()
    quiet_libraries()
    import torch
    from transformers import InternVLConfig, InternVLForConditionalGeneration
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from fabula_quickstart.tiny.qwen3_vl import _tokenizer

    tokenizer = _tokenizer(corpus())
    config = InternVLConfig(
        vision_config={
            "image_size": [56, 56], "patch_size": [14, 14], "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 64,
        },
        text_config={
            "model_type": "qwen2", "vocab_size": len(tokenizer), "hidden_size": HIDDEN, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 4096, "tie_word_embeddings": False,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        downsample_ratio=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    InternVLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"height": 56, "width": 56}).save_pretrained(folder)
    if hears:
        _build_ears(folder / "audio_encoder")
    return folder


def _build_ears(folder: Path) -> None:
    import torch
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    config = Wav2Vec2BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        feature_projection_input_dim=160,
    )  # fmt: skip
    torch.manual_seed(0)
    Wav2Vec2BertModel(config).save_pretrained(folder)
    SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2).save_pretrained(folder)
