"""The networks of a diffusers pipeline, each loaded with a look at what its files lack.

A pipeline that loads them itself asks nobody: transformers makes up at random what a text encoder's files lack, and the
pictures then show something, but not the prompt.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from fabula_workloads.models.loading import UnfitWeights, check_loaded

INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers")


def load_parts(folder: Path, dtype: Any) -> dict[str, Any]:
    """Text encoders, transformer and autoencoder by the names that model_index.json gives them.

    Raises UnfitWeights with the part and the first weight that it lacks or that has another shape, and OSError where
    the files of a part are not there.
    """
    return {name: _load(folder / name, kind, dtype) for name, kind in _networks(folder).items()}


def _networks(folder: Path) -> dict[str, Any]:
    import torch

    try:
        index = json.loads((folder / INDEX).read_bytes())
        named = {name: entry for name, entry in index.items() if isinstance(entry, list) and entry[0] in _LIBRARIES}
    except (ValueError, AttributeError, IndexError, RecursionError):
        raise UnfitWeights(f"{INDEX} names no parts of a pipeline") from None
    kinds = {name: getattr(importlib.import_module(library), kind, None) for name, (library, kind) in named.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, torch.nn.Module)}


def _load(folder: Path, kind: Any, dtype: Any) -> Any:
    asked = {"local_files_only": True, "output_loading_info": True}
    if kind.__module__.startswith("transformers."):
        # By default another shape ends in an error that names no file.
        asked |= {"dtype": dtype, "ignore_mismatched_sizes": True, "trust_remote_code": False, "weights_only": True}
    else:
        asked |= {"torch_dtype": dtype}
    try:
        model, told = kind.from_pretrained(str(folder), **asked)
        check_loaded(told)
    except ValueError as error:
        # Behind what is wrong diffusers tells how to make weights up all the same.
        raise UnfitWeights(f"{folder.name}: {str(error).partition('. If you want')[0]}") from None
    return model.eval()
