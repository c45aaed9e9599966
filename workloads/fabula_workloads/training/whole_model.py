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
from safetensors.torch import save_file

from fabula_api.artifact import MANIFEST

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
    from transformers.core_model_loading import revert_weight_conversion

    stored = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in stored}
    weights = {**dict(model.named_parameters()), **buffers}  # a tied matrix is there once
    # Under ZeRO-3 a parameter is empty outside of its pass, and knows its size by another name.
    sizes = {name: getattr(p, "ds_numel", p.numel()) * p.element_size() for name, p in weights.items()}
    files = split(sizes, file_bytes)
    places: dict[str, str] = {}
    total = 0
    for number, names in enumerate(files, start=1):
        whole: dict[str, torch.Tensor] = {}
        for name in names:
            with _gathered(weights[name]):
                if write:
                    whole[name] = weights[name].detach().to("cpu", copy=True).contiguous()
        if write:
            file = f"model-{number:05d}-of-{len(files):05d}.safetensors" if len(files) > 1 else "model.safetensors"
            whole = {name: tensor.contiguous() for name, tensor in revert_weight_conversion(model, whole).items()}
            folder.mkdir(parents=True, exist_ok=True)
            save_file(whole, folder / file, metadata={"format": "pt"})
            places |= dict.fromkeys(whole, file)
            total += sum(tensor.nbytes for tensor in whole.values())
    if write:
        if len(files) > 1:
            index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
        _copy_rest(base, folder, next(iter(weights.values())).dtype)


def split(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in order, cut into runs of at most `limit` bytes; one that is larger is alone."""
    files: list[list[str]] = []
    room = 0
    for name, size in sizes.items():
        if not files or size > room:
            files.append([])
            room = limit
        files[-1].append(name)
        room -= size
    return files


def _gathered(parameter: Any) -> Any:
    import deepspeed

    # Without ZeRO-3 it does nothing.
    return deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id"))


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
