"""What a stage of a watcher can be trained on, and why else it cannot: told before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabula_api.artifact import Manifest
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune, VisualInstructionTuneSpec
from fabula_workloads.models.adapter import UnfitAdapter, check_adapter_files
from fabula_workloads.recipes.visual_instruction.details import VideoDatasetDetails
from fabula_workloads.recipes.visual_instruction.watcher import files
from fabula_workloads.recipes.visual_instruction.watcher.models_known import HEARING, KNOWN
from fabula_workloads.runtime.artifact import details_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.training.model import model_files
from fabula_workloads.training.model.model_files import ModelFiles, check_targets
from fabula_workloads.training.refused import refuse_chat_settings

_ORDER = ("align", "finetune", "streaming", "instruct")


def tune_of(spec: FineTuneRunSpec) -> VisualInstructionTune:
    """The recipe's block."""
    if not isinstance(spec, VisualInstructionTuneSpec):
        raise ConfigInvalid("the run is none of visual-instruction")
    return spec.visual_instruction


def check_architecture(data: bytes, name: str) -> Mapping[str, Any]:
    """See `TrainingParts`."""
    try:
        config: dict[str, Any] = json.loads(data)
        model_files.hidden_size_of(config)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputInvalid(
            f"model: {name} has a config.json that is no config of a language model: {error!r}"
        ) from None
    if config.get("model_type") not in KNOWN:
        raise InputInvalid(
            f"model: {name} is a {config.get('model_type')}, which cannot be made a watcher; use one of "
            f"{', '.join(KNOWN)}"
        )
    return config


def read_model(folder: Path, name: str) -> ModelFiles:
    """See `TrainingParts`."""
    return model_files.read_model_of(folder, name, check_architecture)


def check(spec: FineTuneRunSpec, model: ModelFiles, name: str, dataset: Manifest, inputs: Mapping[str, Path]) -> None:
    """Raise ConfigInvalid or InputInvalid for what cannot be trained so."""
    tune = tune_of(spec)
    refuse_chat_settings(spec, "a watcher")
    if tune.takes_begin and tune.earlier_update == "merged" and spec.deepspeed.stage == 3:
        raise ConfigInvalid(
            "visualInstruction.earlierUpdate: under ZeRO-3 no rank has the whole weights that an update could be "
            "merged into; set it to stacked, or deepspeed.stage to 2"
        )
    if tune.updates:
        check_targets(spec.lora, model, name)
    details = details_of(dataset, VideoDatasetDetails, "dataset")
    if details.sound and model.model_type not in HEARING:
        raise ConfigInvalid(
            f"dataset: it has sound, and {name} is a {model.model_type}, which does not hear; build a dataset with "
            f"visualInstruction.sound false, or train a {' or '.join(HEARING)} whose folder has an audio_encoder"
        )
    if (folder := inputs.get("begin")) is not None:
        _check_begin(folder, tune, model, details)


def _check_begin(folder: Path, tune: VisualInstructionTune, model: ModelFiles, dataset: VideoDatasetDetails) -> None:
    where = "visualInstruction.begin"
    earlier = files.read_config(folder, where)
    if earlier.family != model.model_type:
        raise InputInvalid(f"{where}: it is of a {earlier.family}, and the model is a {model.model_type}")
    if earlier.tune.fusion != tune.fusion:
        raise ConfigInvalid(
            f"visualInstruction.fusion: {tune.fusion}, but the stage before has {earlier.tune.fusion}; set it to that"
        )
    if _ORDER.index(earlier.tune.stage) > _ORDER.index(tune.stage):
        raise ConfigInvalid(
            f"visualInstruction.stage: {tune.stage} comes before {earlier.tune.stage}, which begin names"
        )
    if dataset.sound and not earlier.hears:
        raise InputInvalid(f"{where}: it learned without sound, and the dataset has some; train its stages with sound")
    try:
        for update in files.updates_of(folder):
            check_adapter_files(update)
    except UnfitAdapter as error:
        raise InputInvalid(f"{where}: its update {error}") from None
