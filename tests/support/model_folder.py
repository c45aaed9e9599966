"""A model's folder with all its files, made in a millisecond: to be looked at, not to be run."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from fabula_workloads.training.model.model_files import SINGLE

TENSORS = {
    "model.language_model.embed_tokens.weight": [8, 4],
    "model.language_model.layers.0.self_attn.q_proj.weight": [4, 4],
    "model.language_model.layers.0.mlp.up_proj.weight": [8, 4],
    "model.language_model.layers.0.mlp.gate.weight": [8, 4],
    "model.language_model.norm.weight": [4],
    "model.visual.patch_embed.proj.weight": [4, 3, 2, 2, 2],
    "lm_head.weight": [8, 4],
}


def safetensors(tensors: dict[str, list[int]]) -> bytes:
    """A file of zeros, laid out as safetensors are."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def write_model(folder: Path, **config: Any) -> Path:
    """A model folder with all its files; none of them is of use but to be looked at."""
    folder.mkdir(parents=True)
    settings = {"model_type": "qwen3_vl", "architectures": ["Qwen3VL"], "text_config": {"hidden_size": 4}, **config}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / SINGLE).write_bytes(safetensors(TENSORS))
    for name in ("preprocessor_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    return folder
