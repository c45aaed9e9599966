"""What answers for an arm: its weights checked and put together, under the engine that the run asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fabula_api.arms import CONCURRENCY, KEY_VARIABLE, Arm, Generation, beyond_vllm, engine_of
from fabula_api.arms import Engine as EngineName
from fabula_api.details import TunedDetails
from fabula_api.eval_run import EvalRunSpec
from fabula_workloads.inference.adapter_check import Held, check_adapter, held_in_training
from fabula_workloads.inference.request import Engine
from fabula_workloads.models.loading import Device
from fabula_workloads.models.model_folder import model_config_digest, model_folder, model_label
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.artifact import details_of
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.http_settings import server_key
from fabula_workloads.samples.sample_set import read_sample_set

_log = logging.getLogger(__name__)
TUNED_KINDS = ("adapter", "model")
"""Kinds of artifacts that an arm's `adapter` may name: a LoRA adapter, or the model of a full fine-tuning."""


def asked_of(context: StageContext) -> tuple[EvalRunSpec, Arm]:
    """The evaluation, and the arm whose answers are asked for."""
    spec = context.spec_of(EvalRunSpec)
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
    """The arm's engine, ready to answer. Raises ConfigInvalid or InputInvalid naming the field that is wrong."""
    spec, arm = asked_of(context)
    return _OPEN[engine_of(arm, spec.engine)](context, spec, arm)


def _transformers(context: StageContext, spec: EvalRunSpec, arm: Arm) -> Engine:
    def load(model: Path, adapter: Path | None, held: Held) -> Engine:
        if (open_own := evaluation_of(spec.recipe).open_engine) is not None:
            engine: Engine = open_own(Opening(spec, arm, model, adapter, _device(arm)))
            return engine
        from fabula_workloads.inference.transformers_engine import TransformersEngine

        return TransformersEngine(
            model,
            adapter,
            device=_device(arm),
            pixels=spec.pixels,
            generation=spec.generation,
            quantization=held.quantization,
            fp32_update=held.fp32_update,
            conversation=parts_of(spec.recipe).messages,
        )

    if arm.gpus_per_shard > 1:
        raise ConfigInvalid(f"arms[{arm.name}].gpusPerShard: transformers holds a model on one GPU; set engine: vllm")
    return _loaded(context, spec, arm, load)


def _vllm(context: StageContext, spec: EvalRunSpec, arm: Arm) -> Engine:
    if evaluation_of(spec.recipe).open_engine is not None:
        raise ConfigInvalid(
            f"arms[{arm.name}]: {spec.recipe} has an engine of its own, and vllm does not hold what it trains; set "
            "engine: transformers, or openai for a model that a server has"
        )
    if find_spec("vllm") is None:
        raise ConfigInvalid(
            f"arms[{arm.name}]: engine vllm is not in this image; use one that has it (the operator's --image-vllm), "
            "or engine: transformers"
        )
    store, _ = context.open_artifact("select", "sample-set")
    most = max((len(sample.images) for sample in read_sample_set(store, evaluation_of(spec.recipe).sample)), default=0)

    def load(model: Path, adapter: Path | None, held: Held) -> Engine:
        if how := beyond_vllm(held.quantization, "fp32" if held.fp32_update else None):
            raise ConfigInvalid(
                f"arms[{arm.name}]: its adapter was trained {how}, which vllm is not asked for; set engine: "
                "transformers for this arm"
            )
        from fabula_workloads.inference.vllm_engine import VllmEngine

        return VllmEngine(
            model,
            adapter,
            device=_device(arm),
            gpus=arm.gpus_per_shard,
            pixels=spec.pixels,
            generation=spec.generation,
            most_pictures=most,
            conversation=parts_of(spec.recipe).messages,
        )

    return _loaded(context, spec, arm, load)


def _openai(context: StageContext, spec: EvalRunSpec, arm: Arm) -> Engine:
    if arm.endpoint_url is None or arm.model.name is None:
        raise ConfigInvalid(f"arms[{arm.name}]: engine openai needs endpointUrl and model.name")
    from fabula_workloads.inference.openai_engine import OpenAiEngine

    _log.info("asking %s at %s", arm.model.name, arm.endpoint_url)
    url, name, concurrency = arm.endpoint_url, arm.model.name, arm.concurrency or CONCURRENCY

    def opened(generation: Generation) -> OpenAiEngine:
        return OpenAiEngine(
            url,
            name,
            server_key(arm.key_variable or KEY_VARIABLE),
            pixels=spec.pixels,
            generation=generation,
            concurrency=concurrency,
            conversation=parts_of(spec.recipe).messages,
        )

    if (over := evaluation_of(spec.recipe).over_chat) is not None:
        engine: Engine = over(spec, opened, concurrency)
        return engine
    return opened(spec.generation)


_OPEN: dict[EngineName, Callable[[StageContext, EvalRunSpec, Arm], Engine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
}


def _device(arm: Arm) -> Device:
    return "cuda" if arm.gpus_per_shard else "cpu"


def _loaded(
    context: StageContext, spec: EvalRunSpec, arm: Arm, load: Callable[[Path, Path | None, Held], Engine]
) -> Engine:
    """An engine that holds the arm's weights, trained on the same base, pixels and prompt."""
    field = f"arms[{arm.name}].model"
    model, adapter, held = _weights(context, spec, arm, field)
    from fabula_workloads.models.adapter import UnfitAdapter
    from fabula_workloads.models.library_logs import quiet_libraries
    from fabula_workloads.models.stored_files import DamagedFile, check_folder
    from fabula_workloads.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    quiet_libraries()
    limit_threads(spec.resources, context.config.shards * len(spec.arms))
    tuned = "" if arm.adapter is None else " with its adapter" if adapter else ", tuned in full,"
    packed = "" if held.quantization == "none" else f" in {held.quantization}"
    _log.info("loading %s%s%s on %s", model_label(arm.model), tuned, packed, _device(arm))
    try:
        check_folder(model)
        return load(model, adapter, held)
    except UnfitAdapter as error:
        raise InputInvalid(f"arms[{arm.name}].adapter: {context.config.input('adapter').uri} {error}") from error
    except (OSError, ValueError, DamagedFile) as error:
        raise InputInvalid(f"{field}: {model_label(arm.model)} cannot be loaded: {error}") from error


def _weights(context: StageContext, spec: EvalRunSpec, arm: Arm, field: str) -> tuple[Path, Path | None, Held]:
    """Folder of the arm's model, that of an adapter on top of it, and how both are to be held."""
    if arm.adapter is None:
        return model_folder(context, arm.model, field), None, Held(arm.quantization or "none")
    store, manifest = context.open_artifact("adapter", *TUNED_KINDS)
    check_adapter(
        manifest,
        asked=f"arm {arm.name}",
        pixels=spec.pixels,
        prompt_version=None if spec.prompt else parts_of(spec.recipe).prompt_version,
        base_digest=model_config_digest(context, arm.model, field),
        quantization=arm.quantization,
        recipe=spec.recipe,
    )
    tuned = context.fetch_artifact(store, manifest)
    if manifest.kind == "model":
        return tuned, None, Held()
    told = details_of(manifest, TunedDetails, f"the {manifest.kind} {manifest.digest[:19]}")
    return model_folder(context, arm.model, field), tuned, held_in_training(told)
