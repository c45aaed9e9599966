"""What a FineTuneRun of this recipe trains: one stage of a watcher, beginning with the stage before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabula_api.artifact import Manifest
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.recipes.visual_instruction.tune import VisualInstructionTune, VisualInstructionTuneSpec
from fabula_workloads.models.adapter import UnfitAdapter, check_adapter_files
from fabula_workloads.recipe_parts import SampleEncoder
from fabula_workloads.recipes.visual_instruction.details import VideoDatasetDetails
from fabula_workloads.recipes.visual_instruction.watcher import files
from fabula_workloads.recipes.visual_instruction.watcher.models_known import HEARING, KNOWN, audio_encoder_of
from fabula_workloads.runtime.artifact import details_of, read_manifest
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.training.chat import save_adapter
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model import model_files
from fabula_workloads.training.model.model_files import ModelFiles, check_targets
from fabula_workloads.training.parts import Gathered, Trained, TrainingParts

if TYPE_CHECKING:
    import torch

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


def check(spec: FineTuneRunSpec, found: ModelFiles, name: str, dataset: Manifest, inputs: Mapping[str, Path]) -> None:
    """Raise ConfigInvalid or InputInvalid for what cannot be trained so."""
    tune, training = tune_of(spec), spec.training
    refused = {
        "training.method": training.method != "lora" and "lora",
        "training.packing": training.packing and "false",
        "training.kernels": training.kernels != "torch" and "torch",
        "lora.quantization": spec.lora.quantization != "none" and "none",
    }
    for field, instead in refused.items():
        if instead:
            raise ConfigInvalid(f"{field}: a watcher is not trained so; set it to {instead}")
    if tune.takes_begin and tune.earlier_update == "merged" and spec.deepspeed.stage == 3:
        raise ConfigInvalid(
            "visualInstruction.earlierUpdate: under ZeRO-3 no rank has the whole weights that an update could be "
            "merged into; set it to stacked, or deepspeed.stage to 2"
        )
    if tune.updates:
        check_targets(spec.lora, found, name)
    details = details_of(dataset, VideoDatasetDetails, "dataset")
    if details.sound and found.model_type not in HEARING:
        raise ConfigInvalid(
            f"dataset: it has sound, and {name} is a {found.model_type}, which does not hear; build a dataset with "
            f"visualInstruction.sound false, or train a {' or '.join(HEARING)} whose folder has an audio_encoder"
        )
    if (folder := inputs.get("begin")) is not None:
        _check_begin(folder, tune, found, details)


def _check_begin(folder: Path, tune: VisualInstructionTune, found: ModelFiles, dataset: VideoDatasetDetails) -> None:
    where = "visualInstruction.begin"
    earlier = files.read_config(folder, where)
    if earlier.family != found.model_type:
        raise InputInvalid(f"{where}: it is of a {earlier.family}, and the model is a {found.model_type}")
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

    from fabula_workloads.models.loading import UnfitWeights, load_for_training
    from fabula_workloads.models.stored_files import DamagedFile
    from fabula_workloads.recipes.visual_instruction.watcher import building
    from fabula_workloads.recipes.visual_instruction.watcher.encode import Collator
    from fabula_workloads.recipes.visual_instruction.watcher.flops import needed
    from fabula_workloads.recipes.visual_instruction.watcher.hearing import Ears
    from fabula_workloads.recipes.visual_instruction.watcher.loss import watcher_loss
    from fabula_workloads.training.model.recompute import recompute_layers

    spec, tune, family, details = job.spec, tune_of(job.spec), _family(job), _details(job)
    words, vocabulary = building.words_of(job.model)
    begin = job.inputs.get("begin")
    before = files.updates_of(begin) if begin is not None else []
    try:
        base = load_for_training(job.model, precision=spec.training.precision)
        base.requires_grad_(False)
        language: Any = base
        if before and tune.earlier_update == "merged":
            language = base = building.merged(base, before)
        elif before:
            language = building.stacked(base, before)
    except (UnfitWeights, DamagedFile) as error:
        raise InputInvalid(f"model: {job.base_name} cannot be loaded: {error}") from error
    except UnfitAdapter as error:
        raise InputInvalid(f"visualInstruction.begin: its update {error}") from error
    if tune.updates:
        language = building.add_update(language, spec.lora, family, job.base_name)
    watcher = building.watcher_of(language, family, tune, words, hears=details.sound)
    if begin is not None:
        files.load_weights(watcher, begin, "visualInstruction.begin")
    own = watcher.own_weights()
    for value in own.values():
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
            _save(watcher, config, before, folder, writes=write, gathered=gathered)

    silence = None
    if details.sound and family.sound_encoder is not None:
        silence = Ears(family.sound_encoder).features(np.zeros((1, 16_000), np.int16))
    rate = tune.projector_learning_rate
    slower = ("projector.", "hearing.")
    rates = {id(value): rate for name, value in own.items() if rate is not None and name.startswith(slower)}
    return Trained(
        base=base,
        model=watcher,
        collate=Collator(words.ids.quiet, needed(base.config, watcher), silence),
        loss=watcher_loss,
        save=save,
        rates={name: rates[id(value)] for name, value in watcher.named_parameters() if id(value) in rates},
    )


def _save(
    watcher: Any, config: files.WatcherConfig, before: list[Path], folder: Path, *, writes: bool, gathered: Gathered
) -> None:
    """The update in peft's format where there is one, those before it, and all else that was trained."""
    from fabula_workloads.recipes.visual_instruction.watcher.building import NEW

    whole = gathered()
    names = {id(value): name for name, value in watcher.own_weights().items()}
    trained: Mapping[str, torch.Tensor] = dict(watcher.named_parameters())
    own = {
        names[id(value)]: value if whole is None else whole[name]
        for name, value in trained.items()
        if id(value) in names and (whole is None or name in whole)
    }
    if config.tune.updates:
        state = None
        if whole is not None:
            state = {name.removeprefix("language."): value for name, value in whole.items() if ".lora_" in name}
        _save_update(watcher.language, folder, state, writes, NEW)
    if writes:
        files.keep_updates(before, folder)
        files.write(folder, config, own)


def _save_update(language: Any, folder: Path, state: Any, writes: bool, beside: str) -> None:
    if beside not in language.peft_config:
        save_adapter(language, folder, write=writes, gathered=lambda: state)
        return
    if not writes:
        return
    import shutil

    # peft writes an adapter that is not called `default` into a folder of its name.
    language.save_pretrained(folder, selected_adapters=[beside], state_dict=state, save_embedding_layers=False)
    for file in (folder / beside).iterdir():
        shutil.move(str(file), str(folder / file.name))
    (folder / beside).rmdir()
    sort_targets(folder / "adapter_config.json")


def sort_targets(config: Path) -> None:
    """As `save_adapter` has it: the same run writes the same bytes."""
    content = json.loads(config.read_text())
    content["target_modules"] = sorted(content["target_modules"])
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


TRAINING = TrainingParts(
    check_architecture=check_architecture,
    read_model=read_model,
    check=check,
    open_encoder=open_encoder,
    build=build,
)
