"""Tiny SigLIP 2 models of random weights in both published layouts: pictures of one size, and of any shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.models.torchvision_shim import prepare_torchvision

CONTEXT = 64
PATCH, SIDE, PATCHES = 8, 32, 16
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")


def build(path: Path, layout: Literal["siglip", "siglip2"]) -> None:
    """Write the model with Gemma's tokenizer, of which each byte is a token, and the image processor of its layout."""
    prepare_torchvision()
    quiet_libraries()
    import torch
    from transformers import (
        Siglip2Config,
        Siglip2ImageProcessor,
        Siglip2Model,
        SiglipConfig,
        SiglipImageProcessor,
        SiglipModel,
    )

    tower: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    }  # fmt: skip
    text = {**tower, "vocab_size": len(SPECIAL) + 256, "max_position_embeddings": CONTEXT, "projection_size": 64,
            "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}  # fmt: skip
    marked = {RANDOM_WEIGHTS_KEY: True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if layout == "siglip":
            seen = {**tower, "image_size": SIDE, "patch_size": PATCH}
            model: Any = SiglipModel(SiglipConfig(text_config=text, vision_config=seen, **marked))
            images: Any = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
        else:
            seen = {**tower, "num_patches": PATCHES, "patch_size": PATCH}
            model = Siglip2Model(Siglip2Config(text_config=text, vision_config=seen, **marked))
            images = Siglip2ImageProcessor(patch_size=PATCH, max_num_patches=PATCHES)
        with torch.no_grad():
            model.text_model.embeddings.token_embedding.weight.normal_(0.0, 1.0)
    model.eval().save_pretrained(path)
    images.save_pretrained(path)
    _tokenizer().save_pretrained(path)


def _tokenizer() -> Any:
    from tokenizers.processors import TemplateProcessing
    from transformers import GemmaTokenizer

    names = (*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)))
    made = GemmaTokenizer(
        vocab={name: index for index, name in enumerate(names)}, merges=[], add_bos_token=False, add_eos_token=True,
        padding_side="right", model_max_length=CONTEXT,
    )  # fmt: skip
    made._tokenizer.post_processor = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return made
