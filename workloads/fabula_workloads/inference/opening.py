"""What answers for an arm: its weights checked and put together, under the engine that the run asks for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from fabula_api.arms import Arm
from fabula_api.eval_run import EvalRunSpec
from fabula_workloads.inference.adapter_check import check_adapter, trained_quantization
from fabula_workloads.inference.request import Engine
from fabula_workloads.models.loading import Device
from fabula_workloads.models.model_folder import model_config_digest, model_folder, model_label
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid

_log = logging.getLogger(__name__)
TUNED_KINDS = ("adapter", "model")
"""Kinds of artifacts that an arm's `adapter` may name: a LoRA adapter, or the model of a full fine-tuning."""


def asked_of(context: StageContext) -> tuple[EvalRunSpec, Arm]:
    """The evaluation, and the arm whose answers are asked for."""
    spec = context.config.spec
    if not isinstance(spec, EvalRunSpec):
        raise ConfigInvalid(f"stage infer belongs to an EvalRun, not to a {context.config.run.kind}")
    arm = next((arm for arm in spec.arms if arm.name == context.config.arm), None)
    if arm is None:
        raise ConfigInvalid(f"there is no arm {context.config.arm!r}; there are {[arm.name for arm in spec.arms]}")
    return spec, arm


@dataclass(frozen=True, slots=True)
class Opening:
    """What a recipe's own engine is opened from."""

    spec: EvalRunSpec
    arm: Arm
    model: Path
    """The base model's folder, or that of a model which was tuned in full."""
    tuned: Path | None
    """Folder of what was trained on top of it."""
    device: Device


def open_engine(context: StageContext) -> Engine:
    """The arm's model, with its adapter or as it was tuned in full, trained on the same base, pixels and prompt."""
    spec, arm = asked_of(context)
    if spec.engine != "transformers":
        raise ConfigInvalid(f"engine {spec.engine!r} is not in this version; use transformers")
    field = f"arms[{arm.name}].model"
    model, adapter, quantization = _weights(context, spec, arm, field)
    from fabula_workloads.models.adapter import UnfitAdapter
    from fabula_workloads.models.library_logs import quiet_libraries
    from fabula_workloads.models.stored_files import DamagedFile, check_folder
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    quiet_libraries()
    own = evaluation_of(spec.recipe).open_engine
    limit_threads(spec.resources, context.config.shards * len(spec.arms))
    device: Device = "cuda" if arm.gpus_per_shard else "cpu"
    tuned = "" if arm.adapter is None else " with its adapter" if adapter else ", tuned in full,"
    held = "" if quantization == "none" else f" in {quantization}"
    _log.info("loading %s%s%s on %s", model_label(arm.model), tuned, held, device)
    try:
        check_folder(model)
        if own is not None:
            engine: Engine = own(Opening(spec, arm, model, adapter, device))
            return engine
        from fabula_workloads.inference.transformers_engine import TransformersEngine

        return TransformersEngine(
            model,
            adapter,
            device=device,
            pixels=spec.pixels,
            generation=spec.generation,
            quantization=quantization,
            conversation=parts_of(spec.recipe).messages,
        )
    except UnfitAdapter as error:
        raise InputInvalid(f"arms[{arm.name}].adapter: {context.config.input('adapter').uri} {error}") from error
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"{field}: {model_label(arm.model)} cannot be loaded: {error}") from error


def _weights(context: StageContext, spec: EvalRunSpec, arm: Arm, field: str) -> tuple[Path, Path | None, Quantization]:
    """Folder of the arm's model, that of an adapter on top of it, and how the model is to be held."""
    if arm.adapter is None:
        return model_folder(context, arm.model, field), None, arm.quantization or "none"
    store, manifest = context.open_artifact("adapter", *TUNED_KINDS)
    check_adapter(
        manifest,
        arm=arm.name,
        pixels=spec.pixels,
        prompt_version=None if spec.prompt else parts_of(spec.recipe).prompt_version,
        base_digest=model_config_digest(context, arm.model, field),
        quantization=arm.quantization,
        recipe=spec.recipe,
    )
    tuned = context.fetch_artifact(store, manifest)
    if manifest.kind == "model":
        return tuned, None, "none"
    return model_folder(context, arm.model, field), tuned, trained_quantization(manifest)
