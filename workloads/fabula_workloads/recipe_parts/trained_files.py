"""What a recipe trained beside a base model, as two files: what it is, in JSON, and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from fabula_workloads.runtime.failures import InputInvalid

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
    content = json.loads(file.read_bytes())
    if usual:
        content["tune"] = usual | content.get("tune", {})
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InputInvalid(f"{where}: {file.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def write_weights(file: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write weights by name, on the CPU."""
    from safetensors.torch import save_file

    save_file({name: value.detach().cpu().contiguous() for name, value in sorted(weights.items())}, file)
