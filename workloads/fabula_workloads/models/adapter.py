"""A LoRA adapter on its base model, or the word why it is none for it.

peft leaves out keys that it does not know and keeps the start values of those that are missing, which are zero: the
base model's own answers would then be measured as the adapter's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabula_workloads.models.stored_files import DamagedFile, Shapes, check_folder, tensor_shapes
from fabula_workloads.models.torchvision_shim import prepare_torchvision

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class UnfitAdapter(ValueError):
    """An adapter that cannot be put on this model, or would change nothing; the message says where it differs."""


def check_adapter_files(folder: Path) -> None:
    """Whether a folder holds a whole LoRA adapter, before its base is loaded. Raises UnfitAdapter."""
    if lost := next((name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()), None):
        raise UnfitAdapter(f"is no adapter in peft's format: {lost} is not in its folder")
    try:
        check_folder(folder)
    except DamagedFile as error:
        raise UnfitAdapter(f"is damaged: {error}") from None
    config = json.loads((folder / CONFIG).read_bytes())
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise UnfitAdapter(f"is no LoRA adapter: {CONFIG} has peft_type {kind!r}")


def rank_of(folder: Path) -> int:
    """The largest rank among the adapter's layers."""
    config = json.loads((folder / CONFIG).read_bytes())
    return max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])


def with_adapter(base: Any, folder: Path) -> Any:
    """The base model with the adapter in `folder` on top, not merged. Raises UnfitAdapter naming what differs first."""
    prepare_torchvision()
    check_adapter_files(folder)
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        config = LoraConfig.from_pretrained(str(folder), local_files_only=True)
        config.inference_mode = True
        config.base_model_name_or_path = base.name_or_path  # a folder elsewhere; the manifest tells which base it is
        model = get_peft_model(base, config)
    except (ValueError, TypeError) as error:
        raise UnfitAdapter(f"does not fit its base: {error}") from error
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes = {name: list(tensor.shape) for name, tensor in expected.items()}
    if problem := difference(tensor_shapes(folder / WEIGHTS, WEIGHTS), shapes):
        raise UnfitAdapter(f"does not fit its base: {problem}")
    tensors = load_file(str(folder / WEIGHTS))
    if problem := _idle(tensors):
        raise UnfitAdapter(f"is no trained adapter: {problem}")
    set_peft_model_state_dict(model, tensors)
    return model


def merge(model: Any) -> tuple[Any, float]:
    """The base with its updates in its weights, and which share of them is there.

    A weight in bf16 has 8 bits, so of an update that is small beside it a part is rounded away. The share is that along
    the updates themselves, over all layers: 1 where nothing is lost.
    """
    import torch

    with torch.no_grad():
        share = _kept(model)
    return model.merge_and_unload(), share


def _kept(model: Any) -> float:
    import torch
    from peft.tuners.lora import LoraLayer

    kept = whole = 0.0
    for layer in model.modules():
        if not isinstance(layer, LoraLayer):
            continue
        weight = layer.get_base_layer().weight
        if weight.dtype == torch.float32:
            continue
        for name in layer.active_adapters:
            update = layer.get_delta_weight(name).float()
            applied = (weight.float() + update).to(weight.dtype).float() - weight.float()
            kept += float((applied * update).sum())
            whole += float(update.square().sum())
    return kept / whole if whole else 1.0


def difference(actual: Shapes, expected: Shapes) -> str | None:
    """Where an adapter's tensors first differ from those that the model expects; None where they do not."""
    missing, unknown = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
    if missing or unknown:
        lacks = f"it lacks {len(missing)} of {len(expected)} tensors, first {missing[0]}" if missing else ""
        has = f"it has {len(unknown)} that the model has no place for, first {unknown[0]}" if unknown else ""
        return "; ".join(filter(None, (lacks, has)))
    for name in sorted(expected):
        if actual[name] != expected[name]:
            return f"{name} has shape {actual[name]}, and the model expects {expected[name]}"
    return None


def _idle(tensors: Mapping[str, Any]) -> str | None:
    """Why these weights change nothing, or nothing well."""
    if broken := next((name for name, tensor in sorted(tensors.items()) if not tensor.isfinite().all()), None):
        return f"{broken} has values that are no numbers"
    pairs = [name for name in tensors if ".lora_B." in name]
    others = any(".lora_A." not in name and ".lora_B." not in name for name in tensors)
    moved = any(tensors[name].any() and tensors[name.replace(".lora_B.", ".lora_A.")].any() for name in pairs)
    if pairs and not others and not moved:
        return f"in all of its {len(pairs)} layers lora_B or lora_A is zero, so it changes nothing"
    return None
