"""Whether a base model's folder holds a whole model of a kind that this worker trains: from its files, without torch.

A model that cannot be loaded is found here in milliseconds, before ranks have started and taken their GPUs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabula_api.fine_tune_run import Lora
from fabula_api.training_fit import unknown_targets
from fabula_workloads.models.family import trainable
from fabula_workloads.models.stored_files import INDEX, SINGLE, DamagedFile, check_folder, weight_shapes
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid

_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_IMAGE_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")
_NO_LINEAR_LAYERS = frozenset({"embed_tokens", "pos_embed", "gate"})
"""Matrices of other layers: embeddings, and the router of a mixture of experts."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What the files say of a model."""

    config: dict[str, Any]
    digest: str
    """Of config.json."""
    linear_layers: Mapping[str, int]
    """Last parts of the names of its linear layers, with the longest side of a matrix of that name; empty where the
    weights are quantised or not in safetensors."""

    @property
    def model_type(self) -> str:
        """Architecture, by transformers' name."""
        return str(self.config.get("model_type"))


def check_architecture(data: bytes, name: str) -> dict[str, Any]:
    """The content of a config.json, for a model of a kind that this worker trains.

    Raises InputInvalid for any other, and for what is no config of a language model.
    """
    try:
        config: dict[str, Any] = json.loads(data)
        hidden_size_of(config)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputInvalid(
            f"model: {name} has a config.json that is no config of a language model: {error!r}"
        ) from None
    kind = config.get("model_type")
    if kind not in trainable():
        architecture = ", ".join(map(str, config.get("architectures") or ())) or "no named architecture"
        raise InputInvalid(
            f"model: {name} is a {kind} ({architecture}); this worker trains {' and '.join(trainable())}. "
            "Use such a model, or a training image of your own (template.image and template.command)"
        )
    return config


def read_model(folder: Path, name: str) -> ModelFiles:
    """What is in the folder of the model `name`.

    Raises InputInvalid naming the file that is missing, damaged or of a model that this worker does not train.
    """
    return read_model_of(folder, name, check_architecture)


def read_model_of(folder: Path, name: str, check: Callable[[bytes, str], Mapping[str, Any]]) -> ModelFiles:
    """As `read_model`, for a model that sees of the kinds that `check` lets pass."""
    try:
        data = (folder / "config.json").read_bytes()
    except OSError as error:
        raise InputInvalid(f"model: {name} holds no model: config.json: {error.strerror}") from None
    config = dict(check(data, name))
    return _read(folder, data, config, name, {"image processor": _IMAGE_PROCESSORS, "tokenizer": _TOKENIZERS})


def check_language_model(data: bytes, name: str) -> dict[str, Any]:
    """As `check_architecture`, for any causal language model of transformers."""
    try:
        config: dict[str, Any] = json.loads(data)
        text = config.get("text_config", config)
        sizes = [int(text[size]) for size in ("hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputInvalid(
            f"model: {name} has a config.json that is no config of a language model: {error!r}"
        ) from None
    architectures = [str(kind) for kind in config.get("architectures") or ()]
    if min(sizes) < 1 or (architectures and not any(kind.endswith("ForCausalLM") for kind in architectures)):
        raise InputInvalid(
            f"model: {name} is a {config.get('model_type')} ({', '.join(architectures)}), and no causal language model"
            "; use one, such as meta-llama/Llama-2-7b-hf"
        )
    return config


def read_language_model(folder: Path, name: str) -> ModelFiles:
    """As `read_model`, for a causal language model."""
    try:
        data = (folder / "config.json").read_bytes()
    except OSError as error:
        raise InputInvalid(f"model: {name} holds no model: config.json: {error.strerror}") from None
    return _read(folder, data, check_language_model(data, name), name, {"tokenizer": _TOKENIZERS})


def _read(
    folder: Path, data: bytes, config: dict[str, Any], name: str, needed: Mapping[str, Iterable[str]]
) -> ModelFiles:
    for what, names in needed.items():
        if not any((folder / file).is_file() for file in names):
            raise InputInvalid(f"model: {name} has no {what}: none of {', '.join(names)} is in its folder")
    try:
        check_folder(folder)
        shapes = weight_shapes(folder)
    except DamagedFile as error:
        raise InputInvalid(f"model: {name} is damaged: {error}") from None
    if shapes is None and not any((folder / file).is_file() for file in _PICKLED):
        raise InputInvalid(f"model: {name} has no weights: neither {SINGLE} nor {INDEX} is in its folder")
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    # Quantised weights are stored in other shapes, which tell nothing of the layers.
    return ModelFiles(config, digest, {} if "quantization_config" in config else _linear_layers(shapes or {}))


def check_targets(lora: Lora, files: ModelFiles, name: str) -> None:
    """Raise ConfigInvalid for a target module that is no linear layer, naming those that are."""
    if files.linear_layers and (problem := unknown_targets(lora, files.linear_layers, name)):
        raise ConfigInvalid(problem)


def widest_target(lora: Lora, files: ModelFiles) -> int:
    """The longer side of the largest matrix that gets a low-rank update; 0 where the files do not tell."""
    return max((files.linear_layers.get(target, 0) for target in lora.target_modules), default=0)


def _linear_layers(shapes: dict[str, list[int]]) -> dict[str, int]:
    layers: dict[str, int] = {}
    for tensor, shape in shapes.items():
        layer, _, kind = tensor.rpartition(".")
        name = layer.rpartition(".")[2]
        if kind == "weight" and name and name not in _NO_LINEAR_LAYERS and len(shape) == 2:
            layers[name] = max(layers.get(name, 0), *shape)
    return layers


def hidden_size_of(model_config: dict[str, Any]) -> int:
    """Width of the language part, from a model's config.json. Raises KeyError when it has none."""
    text = model_config.get("text_config", model_config)
    return int(text["hidden_size"])
