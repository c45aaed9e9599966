"""Which files of a Hub repository a loader here needs: the rest can be more than the model.

A repository often holds the same weights several times: in another format, in half precision beside full, as one file
beside its shards, or, with a pipeline, as a checkpoint for other programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

PIPELINE = "model_index.json"
_TEXTS = frozenset({".json", ".txt", ".model", ".jinja", ".tiktoken"})
_VARIANT = re.compile(r"\.(fp16|fp32|bf16|non_ema|ema|int8|fp8)\b")
_SHARD = re.compile(r"-\d+-of-\d+\.(safetensors|bin)$")


def needed_files(files: Iterable[str]) -> list[str]:
    """Of a repository's files those that a model, or a pipeline of models, is loaded from, in order of their names."""
    folders: dict[str, list[str]] = {}
    for name in files:
        folder, _, last = name.rpartition("/")
        if "/" not in folder and not _VARIANT.search(last):
            folders.setdefault(folder, []).append(last)
    top = folders.pop("", [])
    if PIPELINE not in top:
        return sorted(_of_model(top))
    kept = [PIPELINE, *(name for name in top if name.startswith("LICENSE"))]
    for folder, names in folders.items():
        # A part of a pipeline has a config; a folder without one holds weights for other programs.
        if any(name.endswith(".json") for name in names):
            kept += [f"{folder}/{name}" for name in _of_model(names)]
    return sorted(kept)


def _of_model(names: list[str]) -> list[str]:
    texts = [name for name in names if PurePosixPath(name).suffix in _TEXTS or name.startswith("LICENSE")]
    for suffix in (".safetensors", ".bin"):
        if weights := [name for name in names if name.endswith(suffix) and name != "training_args.bin"]:
            return texts + ([name for name in weights if _SHARD.search(name)] or weights)
    return texts
