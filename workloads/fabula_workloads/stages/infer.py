"""Stage `infer`: one arm's answers to every sample. The model is loaded once in each shard."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fabula_api.arms import Arm
from fabula_api.eval_run import EvalRunSpec
from fabula_api.status import Lineage
from fabula_workloads.inference.adapter_check import check_adapter, trained_quantization
from fabula_workloads.inference.request import Answer, Answerer, Failure, Request, request
from fabula_workloads.metrics.answer_form import AnswerForm
from fabula_workloads.models.loading import Device
from fabula_workloads.models.model_folder import model_config_digest, model_folder, model_label
from fabula_workloads.models.quantization import Quantization
from fabula_workloads.models.threads import limit_threads
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.recipe_parts.evaluation import evaluation_of
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid
from fabula_workloads.runtime.ledger import Ledger, own_items
from fabula_workloads.runtime.store import Store
from fabula_workloads.samples.sample_set import read_sample_set

_log = logging.getLogger(__name__)
TUNED_KINDS = ("adapter", "model")
"""Kinds of artifacts that an arm's `adapter` may name: a LoRA adapter, or the model of a full fine-tuning."""
OpenAnswerer = Callable[[StageContext], Answerer]


def run(context: StageContext) -> StageResult:
    """Generate this shard's answers."""
    return infer(context, open_answerer)


def infer(context: StageContext, open_answerer: OpenAnswerer) -> StageResult:
    """Generate the answers of this shard that have no outcome yet. The model is opened only when there are any.

    An answer depends on its sample, its seed and the model alone: not on order, shard count or restarts. (In a batch of
    several, padding may move the last bits of the logits.)
    """
    spec, arm = _spec(context)
    select, chosen = context.open_artifact("select", "sample-set")
    folder = context.fetch_artifact(select, chosen)
    evaluation = evaluation_of(spec.recipe)
    samples = {sample.id: sample for sample in read_sample_set(select, evaluation.sample)}
    items = {f"{sample}-{seed}": (sample, seed) for sample in samples for seed in spec.generation.seeds}
    own = own_items(list(items), context.shard, context.config.shards)
    ledger = Ledger(context.store)
    finished = ledger.ids()
    tally = Counter(_count_name(outcome) for key in own if key in finished and (outcome := ledger.get(key)))
    pending = [items[key] for key in own if key not in finished]
    _report(context, tally, len(own))
    if pending:
        answerer = open_answerer(context)
        usual = parts_of(spec.recipe).inference_prompt()
        for start in range(0, len(pending), spec.generation.batch_size):
            context.check_stop()
            batch = [
                request(samples[name], seed, folder, spec.prompt or samples[name].prompt or usual)
                for name, seed in pending[start : start + spec.generation.batch_size]
            ]
            answers = answerer.answer(batch, context.stopping.is_set)
            context.check_stop()  # what was cut short is no answer
            for asked, answer in zip(batch, answers, strict=True):
                outcome = _keep(context.store, evaluation.answers, asked, answer)
                ledger.put(asked.key, outcome)
                tally[_count_name(outcome)] += 1
            _report(context, tally, len(own))
    _log.info("%d answers in this shard, %d generated now", len(own), len(pending))
    return StageResult(
        counts={name: float(count) for name, count in sorted(tally.items())}, lineage=_lineage(context, arm)
    )


def open_answerer(context: StageContext) -> Answerer:
    """The arm's model, with its adapter or as it was tuned in full, trained on the same base, pixels and prompt."""
    spec, arm = _spec(context)
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
    from fabula_workloads.inference.transformers_answerer import TransformersAnswerer

    limit_threads(spec.resources, context.config.shards * len(spec.arms))
    device: Device = "cuda" if arm.gpus_per_shard else "cpu"
    tuned = "" if arm.adapter is None else " with its adapter" if adapter else ", tuned in full,"
    held = "" if quantization == "none" else f" in {quantization}"
    _log.info("loading %s%s%s on %s", model_label(arm.model), tuned, held, device)
    try:
        check_folder(model)
        return TransformersAnswerer(
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


def _keep(store: Store, form: AnswerForm, request: Request, answer: Answer | Failure) -> dict[str, Any]:
    """Store the answer as a file; the outcome for the ledger."""
    if isinstance(answer, Failure):
        return {"outcome": "failed", "reason": answer.reason}
    transcript = form.as_file(request.sample, answer.text, answer.seconds)
    store.write(f"transcripts/{request.key}.txt", transcript.encode())
    return {
        "outcome": "ok", "text": answer.text, "tokens": answer.tokens, "seconds": round(answer.seconds, 3),
        "finish": answer.finish,
    }  # fmt: skip


def _spec(context: StageContext) -> tuple[EvalRunSpec, Arm]:
    spec = context.config.spec
    if not isinstance(spec, EvalRunSpec):
        raise ConfigInvalid(f"stage infer belongs to an EvalRun, not to a {context.config.run.kind}")
    arm = next((arm for arm in spec.arms if arm.name == context.config.arm), None)
    if arm is None:
        raise ConfigInvalid(f"there is no arm {context.config.arm!r}; there are {[arm.name for arm in spec.arms]}")
    return spec, arm


def _lineage(context: StageContext, arm: Arm) -> list[Lineage]:
    if arm.adapter is None:
        return []
    adapter = context.config.input("adapter")
    return [Lineage(name=f"adapter/{arm.name}", uri=adapter.uri, digest=adapter.digest)]


def _count_name(outcome: dict[str, Any]) -> str:
    return "answer/ok" if outcome["outcome"] == "ok" else f"answer/{outcome['outcome']}/{outcome['reason']}"


def _report(context: StageContext, tally: Counter[str], total: int) -> None:
    context.reporter.update(
        done=tally.total(), total=total, failed=tally.total() - tally["answer/ok"], counts=dict(tally)
    )
