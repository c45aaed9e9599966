"""Loading of base models and adapters onto a device, the one way for training, inference and tests."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fabula_workloads.models.adapter import check_adapter_files, merge, with_adapter
from fabula_workloads.models.family import prepare
from fabula_workloads.models.quantization import Quantization, nf4_config, settle
from fabula_workloads.models.stored_files import check_folder
from fabula_workloads.models.torchvision_shim import prepare_torchvision

_log = logging.getLogger(__name__)
RANDOM_WEIGHTS_KEY = "fabula_random_weights"
"""Key in config.json (model_index.json of a pipeline) of models built with random weights."""
_WELL_KEPT = 0.9
"""Share of an update below which its loss is warned of."""
Precision = Literal["bf16", "fp32"]
Device = Literal["cuda", "cpu"]


class UnfitWeights(ValueError):
    """Weights that are not those of the model that config.json tells of."""


def has_random_weights(path: Path | str) -> bool:
    """Whether the model folder says that its weights are random, so that what it makes can be labelled."""
    for name in ("config.json", "model_index.json"):
        file = Path(path) / name
        if file.is_file():
            return bool(json.loads(file.read_text()).get(RANDOM_WEIGHTS_KEY, False))
    return False


def load_base(path: Path | str, *, device: Device, precision: Precision, quantization: Quantization = "none") -> Any:
    """A vision-language model for generation from a local folder, in evaluation mode on `device`.

    Raises OSError where the folder holds no model, DamagedFile and UnfitWeights where it does not hold all of it.
    """
    return _from_pretrained(path, precision, quantization, device).to(device).eval()


def load_with_adapter(
    path: Path | str,
    adapter: Path | str,
    *,
    device: Device,
    precision: Precision,
    quantization: Quantization = "none",
    fp32_update: bool = False,
) -> Any:
    """As `load_base`, with a LoRA adapter in peft's format on top.

    It is merged, so that generation pays nothing for it, and the log tells what of it bf16 keeps; not into a 4-bit
    base, which would be rounded anew. With `fp32_update` it is not either, and is computed in fp32 as in training.
    Raises UnfitAdapter where it does not fit this base, before anything is answered.
    """
    check_adapter_files(Path(adapter))  # before the base is loaded, which takes long
    # Moved first: merged on the CPU, a pod would need room for the whole model there.
    base = _from_pretrained(path, precision, quantization, device).to(device)
    model = with_adapter(base, Path(adapter))
    if fp32_update:
        from fabula_workloads.models.fp32_update import compute_in_fp32

        compute_in_fp32(model)
    elif quantization == "none":
        model, kept = merge(model)
        _log.log(logging.INFO if kept > _WELL_KEPT else logging.WARNING, "the adapter is merged: of its update, %s's "
                 "weights keep %.0f %%", precision, 100 * kept)  # fmt: skip
    return model.to(device).eval()


def load_for_training(
    path: Path | str, *, precision: Precision, attention: str = "sdpa", quantization: Quantization = "none"
) -> Any:
    """A base model as a trainer wants it: on the CPU or wherever ZeRO-3's initialisation puts it, no cache.

    `attention` is the language part's, by transformers' name.
    """
    model = _from_pretrained(path, precision, quantization)
    if attention != "sdpa":
        model.set_attn_implementation({"text_config": attention})
    # Trainer turns only the outer one off, and says so of the inner one at every start.
    model.config.use_cache = model.config.get_text_config().use_cache = False
    return model


def load_language_model(path: Path | str, *, precision: Precision, device: Device | None = None) -> Any:
    """A causal language model, without anything that sees, from a local folder.

    Raises OSError where the folder holds no model, DamagedFile and UnfitWeights where it does not hold all of it.
    """
    return _from_pretrained(path, precision, device=device, sees=False)


def check_loaded(told: Mapping[str, Any]) -> None:
    """Raise UnfitWeights where some weights did not come from the files: transformers makes those up at random.

    `told` is what it says with `output_loading_info`; tied weights are not among what it misses.
    """
    if missing := sorted(told["missing_keys"]):
        has = sorted(told["unexpected_keys"])
        instead = f", and it has {len(has)} that the model has no place for, first {has[0]}" if has else ""
        raise UnfitWeights(f"its files lack {len(missing)} weights, first {missing[0]}{instead}")
    if mismatched := sorted(told["mismatched_keys"]):
        name, shape, expected = mismatched[0]
        raise UnfitWeights(f"{name} has shape {list(shape)}, and config.json tells of {list(expected)}")


def _from_pretrained(
    path: Path | str,
    precision: Precision,
    quantization: Quantization = "none",
    device: Device | None = None,
    *,
    sees: bool = True,
) -> Any:
    prepare_torchvision()
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    extra: dict[str, Any] = {}
    if quantization == "nf4":
        extra["quantization_config"] = nf4_config(dtype)
    if device == "cuda" or (device and quantization == "nf4"):
        # Weights are read, and quantised, straight to where they are used, with no copy of the model on the way.
        extra["device_map"] = {"": device}
    check_folder(Path(path))
    model, told = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_pretrained(
        str(path), dtype=dtype, attn_implementation="sdpa", local_files_only=True, output_loading_info=True,
        ignore_mismatched_sizes=True, trust_remote_code=False, weights_only=True, **extra,
    )  # fmt: skip
    check_loaded(told)
    prepare(model)
    return model if quantization == "none" else settle(model)
