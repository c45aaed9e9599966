"""How a stage is trained: its samples as tensors, and the watcher with what of it learns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fabula_workloads.models.adapter import UnfitAdapter
from fabula_workloads.recipe_parts import SampleEncoder
from fabula_workloads.recipes.visual_instruction.details import VideoDatasetDetails
from fabula_workloads.recipes.visual_instruction.training.checks import check, check_architecture, read_model, tune_of
from fabula_workloads.recipes.visual_instruction.watcher import files
from fabula_workloads.recipes.visual_instruction.watcher.models_known import audio_encoder_of
from fabula_workloads.runtime.artifact import details_of, read_manifest
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.parts import Gathered, Trained, TrainingParts


def _details(job: TrainingJob) -> VideoDatasetDetails:
    manifest = read_manifest(open_store(job.dataset.as_uri()))
    if manifest is None:
        raise InputInvalid("dataset: its folder has no manifest")
    return details_of(manifest, VideoDatasetDetails, "dataset")


def _family(job: TrainingJob) -> Any:
    from fabula_workloads.recipes.visual_instruction.watcher.families import watcher_family

    kind = str(json.loads((job.model / "config.json").read_bytes()).get("model_type"))
    family = watcher_family(kind)(job.model, job.spec.pixels, _details(job).side, tune_of(job.spec).pooling)
    if _details(job).sound and family.sound_encoder is None:
        raise InputInvalid(
            f"model: the dataset has sound, and {job.base_name} has no encoder of it: {audio_encoder_of(job.model)} is "
            "not there; put one of the kind of Wav2Vec2-BERT there, or build the dataset without sound"
        )
    return family


def open_encoder(job: TrainingJob) -> SampleEncoder:
    """Tokenizer, pictures and sound."""
    from fabula_workloads.recipes.visual_instruction.watcher.building import words_of
    from fabula_workloads.recipes.visual_instruction.watcher.encode import StreamWriter, WatcherEncoder
    from fabula_workloads.recipes.visual_instruction.watcher.hearing import Ears

    family, (words, _) = _family(job), words_of(job.model)
    ears = Ears(family.sound_encoder) if _details(job).sound else None
    return WatcherEncoder(job.dataset, StreamWriter(words, family), ears)


def build(job: TrainingJob, encoder: SampleEncoder) -> Trained:
    """The watcher as its stage trains it."""
    import numpy as np

    from fabula_workloads.recipes.visual_instruction.training.flops import needed
    from fabula_workloads.recipes.visual_instruction.training.loss import watcher_loss
    from fabula_workloads.recipes.visual_instruction.training.saving import save as save_stage
    from fabula_workloads.recipes.visual_instruction.watcher import building
    from fabula_workloads.recipes.visual_instruction.watcher.encode import Collator
    from fabula_workloads.recipes.visual_instruction.watcher.hearing import Ears
    from fabula_workloads.training.model.recompute import recompute_layers

    spec, tune, family, details = job.spec, tune_of(job.spec), _family(job), _details(job)
    words, vocabulary = building.words_of(job.model)
    begin = job.inputs.get("begin")
    before = files.updates_of(begin) if begin is not None else []
    base, language = _loaded(job, before)
    if tune.updates:
        language = building.add_update(language, spec.lora, family, job.base_name)
    watcher = building.watcher_of(language, family, tune, words, hears=details.sound)
    if begin is not None:
        files.load_weights(watcher, begin, "visualInstruction.begin")
    weights = watcher.own_weights()
    for value in weights.values():
        value.requires_grad_(True)
    if spec.training.gradient_checkpointing:
        recompute_layers(base, spec.training.recompute_every, spec.training.keep_layers)
    stages = (*(files.read_config(begin, "begin").stages if begin is not None else ()), tune.stage)
    config = files.WatcherConfig(
        tune=tune, family=str(base.config.model_type), vocabulary=vocabulary, side=details.side, fps=details.fps,
        hears=details.sound, decides=tune.decides, stages=stages,
    )  # fmt: skip

    def save(folder: Path, *, write: bool, of_checkpoint: bool, gathered: Gathered) -> None:
        if not of_checkpoint:
            save_stage(watcher, config, before, folder, writes=write, gathered=gathered)

    silence = None
    if details.sound and family.sound_encoder is not None:
        silence = Ears(family.sound_encoder).features(np.zeros((1, 16_000), np.int16))
    rate = tune.projector_learning_rate
    slower = ("projector.", "hearing.")
    rates = {id(value): rate for name, value in weights.items() if rate is not None and name.startswith(slower)}
    return Trained(
        base=base,
        model=watcher,
        collate=Collator(words.ids.quiet, needed(base.config, watcher), silence),
        loss=watcher_loss,
        save=save,
        rates={name: rates[id(value)] for name, value in watcher.named_parameters() if id(value) in rates},
    )


def _loaded(job: TrainingJob, before: Sequence[Path]) -> tuple[Any, Any]:
    """The base model, frozen, and the same with the updates of the stages before. Raises InputInvalid."""
    from fabula_workloads.models.loading import UnfitWeights, load_for_training
    from fabula_workloads.models.stored_files import DamagedFile
    from fabula_workloads.recipes.visual_instruction.watcher import building

    try:
        base = load_for_training(job.model, precision=job.spec.training.precision)
        base.requires_grad_(False)
        if not before:
            return base, base
        if tune_of(job.spec).earlier_update == "stacked":
            return base, building.stacked(base, before)
        merged = building.merged(base, before)
        return merged, merged
    except (UnfitWeights, DamagedFile) as error:
        raise InputInvalid(f"model: {job.base_name} cannot be loaded: {error}") from error
    except UnfitAdapter as error:
        raise InputInvalid(f"visualInstruction.begin: its update {error}") from error


TRAINING = TrainingParts(
    check_architecture=check_architecture,
    read_model=read_model,
    check=check,
    open_encoder=open_encoder,
    build=build,
)
