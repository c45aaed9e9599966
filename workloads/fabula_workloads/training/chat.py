"""A chat model as recipes train it that bring nothing of their own: a vision-language model of an installed family."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabula_api.artifact import Manifest
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.models.family import ModelFamily, Needed, family_of, liger_missing
from fabula_workloads.recipe_parts import SampleEncoder, parts_of
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.training.messages.job import TrainingJob
from fabula_workloads.training.model.model_files import ModelFiles, check_architecture, check_targets, read_model
from fabula_workloads.training.parts import Gathered, Trained, TrainingParts

_log = logging.getLogger("fabula.train")


def check(spec: FineTuneRunSpec, files: ModelFiles, name: str, dataset: Manifest, inputs: Mapping[str, Path]) -> None:
    """Raise ConfigInvalid for what this model's family cannot do."""
    family = family_of(files.model_type)
    if spec.training.packing and files.model_type not in family.packable:
        raise ConfigInvalid(
            f"training.packing: {name} is a {files.model_type}, and packing is proved equal to unpacked training "
            f"for {', '.join(family.packable)} only; set it to false"
        )
    if spec.training.kernels == "liger":
        _check_liger(files.model_type, family, spec, name)
    _check_method(files, spec, name)
    if spec.training.method == "lora":
        check_targets(spec.lora, files, name)


def _check_liger(model_type: str, family: ModelFamily, spec: FineTuneRunSpec, name: str) -> None:
    if model_type not in family.liger:
        raise ConfigInvalid(
            f"training.kernels: {name} is a {model_type}, and liger's kernels are proved equal to torch's for "
            f"{', '.join(family.liger)} only; set it to torch"
        )
    if spec.topology.device != "cuda":
        raise ConfigInvalid("training.kernels: liger's kernels run on GPUs only; set it to torch")
    if liger_missing():
        raise ConfigInvalid(
            "training.kernels: this image has no liger-kernel or no triton; add the kernels extra, or set it to torch"
        )


def _check_method(files: ModelFiles, spec: FineTuneRunSpec, name: str) -> None:
    """Raise ConfigInvalid when this model's weights cannot be trained, or held, as asked."""
    nf4, full = spec.lora.quantization == "nf4", spec.training.method == "full"
    if (nf4 or full) and "quantization_config" in files.config:
        field = "lora.quantization: nf4" if nf4 else "training.method: full"
        raise ConfigInvalid(f"{field} needs weights that are not quantised yet, but those of {name} are; use another")
    if nf4 and "moe" in files.model_type:
        raise ConfigInvalid(
            f"lora.quantization: {name} is a {files.model_type}, whose experts are one tensor for all, and "
            "bitsandbytes holds none of them in nf4; set it to none"
        )


def open_encoder(job: TrainingJob) -> SampleEncoder:
    """Chat template, tokenizer and pixels, in the recipe's conversation."""
    from fabula_workloads.models.processor import load_processor
    from fabula_workloads.training.samples.encode import Encoder

    return Encoder(load_processor(job.model, job.spec.pixels), job.dataset, parts_of(job.spec.recipe).messages)


def build(job: TrainingJob, encoder: SampleEncoder) -> Trained:
    """The base with an adapter on top, or with method `full` the base itself."""
    from fabula_workloads.training.model.loss import LossHead, token_loss
    from fabula_workloads.training.model.tuned_model import build_model
    from fabula_workloads.training.samples.encode import Encoder

    if not isinstance(encoder, Encoder):
        raise TypeError(f"a chat model's samples are encoded by {Encoder.__name__}, not {type(encoder).__name__}")
    base, model = build_model(job)
    family, parts = family_of(base.config.model_type), parts_of(job.spec.recipe)
    collate = family.collate(base, encoder.pad_token_id, needed(base, model), packed=job.spec.training.packing)

    def save(folder: Path, *, write: bool, of_checkpoint: bool, gathered: Gathered) -> None:
        if hasattr(model, "peft_config"):
            save_adapter(model, folder, write=write, gathered=gathered)
        elif not of_checkpoint:  # a checkpoint has the weights in its optimizer's state, and more exactly
            from fabula_workloads.training.saving import whole_model

            whole_model.save(model, job.model, folder, write=write)

    return Trained(
        base=base,
        model=model,
        collate=parts.collate(collate) if parts.collate else collate,
        loss=token_loss,
        save=save,
        head=LossHead.attach(base),
    )


def save_adapter(model: Any, folder: Path, *, write: bool, gathered: Gathered) -> None:
    """Write an adapter in peft's format. Under ZeRO-3 all ranks must take part; only the first writes.

    Trainer's own would gather or copy the frozen base as well under ZeRO-2.
    """
    state = gathered()
    if write:
        # `False`: otherwise peft looks for the base model's config, on the Hub if it has to.
        without_card(model).save_pretrained(folder, state_dict=state, save_embedding_layers=False)
        sort_targets(folder / "adapter_config.json")


def without_card(model: Any) -> Any:
    """The peft model, which from now on saves no card beside its weights: what is committed gets the launcher's own
    (`model_card`), and a checkpoint needs none."""
    model.create_or_update_model_card = lambda folder: None
    return model


def sort_targets(config: Path) -> None:
    """peft keeps target modules in a set; sorted, the same run writes the same bytes."""
    content = json.loads(config.read_text())
    content["target_modules"] = sorted(content["target_modules"])
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def needed(base: Any, model: Any) -> Needed | None:
    """Counts a batch's operations; None for a model whose config is laid out otherwise."""
    from fabula_workloads.training.libraries.zero import elements

    trained = sum(elements(p) for p in model.parameters() if p.requires_grad)
    full = model is base
    try:
        return family_of(base.config.model_type).needed(base.config.to_dict(), 0 if full else trained, full=full)
    except KeyError as error:
        _log.info("no FLOPs and no MFU: the model's config has no %s", error)
        return None


CHAT = TrainingParts(
    check_architecture=check_architecture,
    read_model=read_model,
    check=check,
    open_encoder=open_encoder,
    build=build,
)
"""What is trained where a recipe names nothing else."""
