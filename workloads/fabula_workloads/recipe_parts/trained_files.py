"""What a recipe trained beside a base model, as two files: what it is, in JSON, and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.termination import validation_lines

if TYPE_CHECKING:
    import torch

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def write_config(file: Path, config: BaseModel, place: str) -> None:
    """Write what was trained. `place` is the field of its `tune` that says where it began: a place, which the
    manifest's lineage has, and so no part of the file."""
    content = config.model_dump(mode="json", by_alias=True)
    content["tune"].pop(place, None)
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_config(model: type[ConfigT], file: Path, where: str, **usual: Any) -> ConfigT:
    """What was trained; `usual` are fields of its `tune` that files may lack. Raises InputInvalid, naming the field
    that is wrong."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputInvalid(f"{where}: {file.name} is not JSON: {error}") from None
    if isinstance(content, dict) and isinstance(tune := content.get("tune"), dict):
        content["tune"] = usual | tune
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputInvalid(f"{where}: {validation_lines(error, f'{file.name}: ')[0]}") from None


def write_weights(file: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write weights by name, on the CPU."""
    from safetensors.torch import save_file

    save_file({name: value.detach().cpu().contiguous() for name, value in sorted(weights.items())}, file)
