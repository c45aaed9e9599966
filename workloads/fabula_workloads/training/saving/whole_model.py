"""A fully tuned model as a folder that `from_pretrained` loads: weights written piece by piece, all else the base's.

Gathering the weights of a large model on one rank first would need as much memory as they take.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import safe_open
from safetensors.torch import save_file

from fabula_api.artifact import MANIFEST
from fabula_workloads.runtime.failures import Crashed
from fabula_workloads.training.libraries.zero import gathered, shape

FILE_BYTES = 2 << 30
"""Size of a file of weights, and so what the writing rank holds in memory."""
INDEX = "model.safetensors.index.json"
_KEPT = (".json", ".jinja", ".txt", ".model")
"""Endings of what a model folder has beside its weights: configs, tokenizer, processor, chat template."""
_NOT_KEPT = (MANIFEST, "ds_config.json")
"""What a base that was itself made by a run has beside that."""


def save(model: Any, base: Path, folder: Path, *, write: bool, file_bytes: int = FILE_BYTES) -> None:
    """Write a model as `base` has it, with the weights that it has now, in their dtype.

    Under ZeRO-3 all ranks must take part; one has `write`.
    """
    stored = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in stored}
    weights = {**dict(model.named_parameters()), **buffers}  # a tied matrix is there once
    whole = {name: torch.empty(shape(p), dtype=p.dtype, device="meta") for name, p in weights.items()}
    files, shapes = split_torch_state_dict_into_shards(whole, max_shard_size=file_bytes), _shapes(base)
    for file, names in files.filename_to_tensors.items():
        held: dict[str, torch.Tensor] = {}
        for name in names:
            with gathered([weights[name]]):
                if write:
                    held[name] = _laid_out(weights[name].detach().to("cpu", copy=True), name, shapes)
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(held, folder / file, metadata={"format": "pt"})
    if write:
        if files.is_sharded:
            places = dict(sorted(files.tensor_to_filename.items()))
            index = {"metadata": files.metadata, "weight_map": places}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
        _copy_rest(base, folder, next(iter(weights.values())).dtype)


def _shapes(base: Path) -> dict[str, list[int]]:
    """Shapes of the base's weights in its files."""
    shapes: dict[str, list[int]] = {}
    for path in sorted(base.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    return shapes


def _laid_out(tensor: torch.Tensor, name: str, shapes: Mapping[str, list[int]]) -> torch.Tensor:
    """A weight as the base's files have it: transformers turns a mixture's experts while it loads them."""
    stored = shapes.get(name, list(tensor.shape))
    if list(tensor.shape) == stored:
        return tensor.contiguous()
    if tensor.dim() > 1 and list(tensor.mT.shape) == stored:
        return tensor.mT.contiguous()
    raise Crashed(f"{name} is {list(tensor.shape)}, but in the base model's files {stored}", "LayoutUnknown")


def _copy_rest(base: Path, folder: Path, dtype: torch.dtype) -> None:
    """What the base's folder holds beside its weights, with the weights' format in its config set right."""
    for path in _rest(base.iterdir()):
        shutil.copyfile(path, folder / path.name)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in ("dtype", "torch_dtype"):
            if key in part:
                part[key] = str(dtype).removeprefix("torch.")
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _rest(paths: Iterable[Path]) -> list[Path]:
    return [
        path
        for path in paths
        if path.is_file()
        and (path.suffix in _KEPT or path.name.startswith("LICENSE"))
        and path.name not in _NOT_KEPT
        and not path.name.endswith(".index.json")
    ]
