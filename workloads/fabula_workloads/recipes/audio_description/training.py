"""What a FineTuneRun of this recipe trains: a narrator, or with the objective `text` a language model's update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabula_api.artifact import Manifest
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.recipes.audio_description.tune import AudioDescriptionTune, AudioDescriptionTuneSpec
from fabula_workloads.models.adapter import UnfitAdapter, check_adapter_files
from fabula_workloads.recipe_parts import SampleEncoder
from fabula_workloads.recipes.audio_description.details import NarrationDatasetDetails
from fabula_workloads.recipes.audio_description.narrator.files import NarratorConfig, write
from fabula_workloads.recipes.audio_description.narrator.flops import needed
from fabula_workloads.runtime.artifact import details_of, read_manifest
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.training.chat import save_adapter
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.model_files import (
    ModelFiles,
    check_language_model,
    check_targets,
    read_language_model,
)
from fabula_workloads.training.parts import Gathered, Trained, TrainingParts
from fabula_workloads.training.refused import refuse_chat_settings

if TYPE_CHECKING:
    import torch

_LANGUAGE = "language."


def tune_of(spec: FineTuneRunSpec) -> AudioDescriptionTune:
    """The recipe's block."""
    if not isinstance(spec, AudioDescriptionTuneSpec):
        raise ConfigInvalid("the run is none of audio-description")
    return spec.audio_description


def check(spec: FineTuneRunSpec, files: ModelFiles, name: str, dataset: Manifest, inputs: Mapping[str, Path]) -> None:
    """Raise ConfigInvalid or InputInvalid for what cannot be trained so."""
    tune = tune_of(spec)
    refuse_chat_settings(spec, "a narrator")
    if tune.language_model != "frozen":
        check_targets(spec.lora, files, name)
    shape = feature_shape(dataset)
    if tune.objective == "narration":
        width, mapping = shape[-1], tune.mapping
        hidden = int(files.config.get("text_config", files.config)["hidden_size"])
        wide = hidden if mapping.kind == "perceiver" else width
        heads = mapping.heads or max(1, wide // (128 if mapping.kind == "perceiver" else 64))
        if wide % heads:
            raise ConfigInvalid(
                f"audioDescription.mapping.heads: {heads} heads do not divide the {mapping.kind}'s width {wide}; set "
                f"it to a divisor, such as {next(n for n in range(heads, 0, -1) if wide % n == 0)}"
            )
    if (folder := inputs.get("pretrained")) is not None:
        try:
            check_adapter_files(folder)
        except UnfitAdapter as error:
            raise InputInvalid(f"audioDescription.pretrained: it {error}") from None


def feature_shape(dataset: Manifest) -> tuple[int, ...]:
    """Of a frame's features."""
    return tuple(details_of(dataset, NarrationDatasetDetails, "dataset").feature_shape)


def _shape(job: TrainingJob) -> tuple[int, ...]:
    manifest = read_manifest(open_store(job.dataset.as_uri()))
    if manifest is None:
        raise InputInvalid("dataset: its folder has no manifest")
    return feature_shape(manifest)


def _vocabulary(job: TrainingJob) -> int:
    config = json.loads((job.model / "config.json").read_bytes())
    return int(config.get("text_config", config)["vocab_size"])


def open_encoder(job: TrainingJob) -> SampleEncoder:
    """Tokenizer and features."""
    from fabula_workloads.recipes.audio_description.narrator.building import writer_of
    from fabula_workloads.recipes.audio_description.narrator.encode import Expected, NarrationEncoder

    tune, shape = tune_of(job.spec), _shape(job)
    writer, _ = writer_of(job.model, tune, _vocabulary(job), shape)
    expected = Expected(shape, "the dataset says", "build it again")
    return NarrationEncoder(job.dataset, writer, tune, expected, job.spec.training.seed)


def build(job: TrainingJob, encoder: SampleEncoder) -> Trained:
    """The narrator over a frozen language model, with the adapter that it begins with or a new one, if any."""
    from fabula_workloads.models.adapter import with_adapter
    from fabula_workloads.models.loading import UnfitWeights
    from fabula_workloads.models.stored_files import DamagedFile
    from fabula_workloads.recipes.audio_description.narrator.building import load_language, narrator_of
    from fabula_workloads.recipes.audio_description.narrator.encode import Collator
    from fabula_workloads.recipes.audio_description.narrator.loss import LOSSES
    from fabula_workloads.recipes.audio_description.narrator.model import Reader
    from fabula_workloads.training.model.recompute import recompute_layers
    from fabula_workloads.training.model.trained_weights import add_lora

    spec, tune, shape, vocabulary = job.spec, tune_of(job.spec), _shape(job), _vocabulary(job)
    try:
        base = load_language(job.model, spec.training.precision)
    except (UnfitWeights, DamagedFile) as error:
        raise InputInvalid(f"model: {job.base_name} cannot be loaded: {error}") from error
    language = base
    learns = tune.language_model != "frozen"
    if (pretrained := job.inputs.get("pretrained")) is not None:
        try:
            language = with_adapter(base, pretrained)
        except UnfitAdapter as error:
            raise InputInvalid(f"audioDescription.pretrained: it {error}") from error
        language.peft_config["default"].base_model_name_or_path = job.base_name
        for name, parameter in language.named_parameters():
            parameter.requires_grad_(learns and ".lora_" in name)
    elif learns:
        language = add_lora(base, spec.lora, job.base_name)
    if tune.language_model == "lora-and-norms":
        for name, parameter in base.named_parameters():
            if "norm" in name.rpartition(".")[0].rpartition(".")[2]:
                parameter.requires_grad_(True)
    model: Any = Reader(language) if tune.objective == "text" else narrator_of(language, tune, vocabulary, shape)
    if spec.training.gradient_checkpointing:
        recompute_layers(base, spec.training.recompute_every, spec.training.keep_layers)
    config = NarratorConfig(tune=tune, feature_shape=shape, vocabulary=vocabulary)

    def save(folder: Path, *, write: bool, of_checkpoint: bool, gathered: Gathered) -> None:
        if not of_checkpoint:
            _save(model, config, folder, writes=write, gathered=gathered)

    pad = base.config.get_text_config().pad_token_id or 0
    return Trained(
        base=base,
        model=model,
        collate=Collator(pad, None if tune.objective == "text" else shape, needed(base.config, model)),
        loss=LOSSES[tune.loss],
        save=save,
    )


def _save(model: Any, config: NarratorConfig, folder: Path, *, writes: bool, gathered: Gathered) -> None:
    """The language model's adapter in peft's format where there is one, and all else that was trained beside it."""
    whole = gathered()
    weights: Mapping[str, torch.Tensor] = (
        {name: value for name, value in model.named_parameters() if value.requires_grad} if whole is None else whole
    )
    adapter = {name.removeprefix(_LANGUAGE): value for name, value in weights.items() if ".lora_" in name}
    if hasattr(model.language, "peft_config"):
        # A pretrained update that stays as it is is no trained weight, and belongs to the narrator nevertheless.
        state = adapter if whole is not None and adapter else None
        save_adapter(model.language, folder, write=writes, gathered=lambda: state)
    if writes:
        write(folder, config, {name: value for name, value in weights.items() if ".lora_" not in name})


TRAINING = TrainingParts(
    check_architecture=check_language_model,
    read_model=read_language_model,
    check=check,
    open_encoder=open_encoder,
    build=build,
)
