"""A tiny MetaCLIP 2 of random weights in its published layout: CLIP's towers, texts by XLM-V's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fabula_workloads.models.library_logs import quiet_libraries
from fabula_workloads.models.loading import RANDOM_WEIGHTS_KEY
from fabula_workloads.models.torchvision_shim import prepare_torchvision

CONTEXT, SIDE = 77, 32
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def build(path: Path, words: Iterable[str]) -> None:
    """Write model, tokenizer (each of the words is a token) and image processor."""
    prepare_torchvision()
    quiet_libraries()
    import torch
    from transformers import CLIPImageProcessor, MetaClip2Config, MetaClip2Model, XLMRobertaTokenizer

    pieces = [(name, 0.0) for name in (*SPECIAL[:-1], *(f"▁{word}" for word in dict.fromkeys(words)), SPECIAL[-1])]
    tokenizer: Any = XLMRobertaTokenizer(vocab=pieces, model_max_length=CONTEXT)
    tower: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "projection_dim": 64,
    }  # fmt: skip
    text = {**tower, "vocab_size": len(pieces), "max_position_embeddings": CONTEXT,
            "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}  # fmt: skip
    seen = {**tower, "image_size": SIDE, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MetaClip2Model(
            MetaClip2Config(text_config=text, vision_config=seen, projection_dim=64, **{RANDOM_WEIGHTS_KEY: True})
        )
        with torch.no_grad():
            model.text_model.embeddings.token_embedding.weight.normal_(0.0, 1.0)
    model.eval().save_pretrained(path)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(path)
    tokenizer.save_pretrained(path)
