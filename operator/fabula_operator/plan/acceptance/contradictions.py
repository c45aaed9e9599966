"""What of an evaluation cannot go well with the runs that it names, by their specs: told before a pod is made.

The pod that answers compares once more with what the artifact's manifest says, and knows more: the base's config, the
version of the prompt. What only it can know is not told here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fabula_api.arms import Arm, beyond_vllm, engine_of
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.shared_spec import ModelSource, PixelWindow
from fabula_operator.plan.acceptance.model_facts import model_facts
from fabula_operator.plan.acceptance.refusal import Refusal
from fabula_operator.plan.acceptance.spec import parsed
from fabula_operator.plan.acceptance.unfit import settled
from fabula_operator.plan.seen.observed import Observed, Reference


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Between a spec and a run that it names."""

    named: Reference
    reason: str
    message: str
    """The spec's field, both values, and what would work."""

    @property
    def lasting(self) -> bool:
        """Whether the other run stays as it is: what decides its output is fixed once it has begun."""
        return self.named.begun or self.named.ready


def contradiction(seen: Observed, spec: EvalRunSpec) -> Contradiction | None:
    """The first thing that cannot go well; None where all may, and for a run that has started: it keeps to what it
    began with."""
    return None if settled(seen) else next(_contradictions(seen, spec), None)


def _contradictions(seen: Observed, spec: EvalRunSpec) -> Iterator[Contradiction]:
    if spec.samples.ref and (run := _known(seen.references.get(("DatasetBuild", spec.samples.ref)))):
        yield from _samples(spec, run)
    for position, arm in enumerate(spec.arms):
        named = arm.adapter.ref if arm.adapter is not None else None
        if named and (run := _known(seen.references.get(("FineTuneRun", named)))):
            yield from _adapter(spec, f"spec.arms[{position}]", arm, run)


def _known(reference: Reference | None) -> Reference | None:
    return reference if reference is not None and reference.exists else None


def _samples(spec: EvalRunSpec, run: Reference) -> Iterator[Contradiction]:
    where = "spec.samples.ref"
    yield from _recipe(spec, where, run, "builds")
    if run.ready and run.samples is not None and run.samples == run.train_samples:
        yield Contradiction(
            run,
            "EmptySplit",
            f"{where}: DatasetBuild {run.name} held nothing out that could be asked about; build it with a validation "
            "split, or name another",
        )


def _adapter(spec: EvalRunSpec, where: str, arm: Arm, run: Reference) -> Iterator[Contradiction]:
    yield from _recipe(spec, f"{where}.adapter.ref", run, "trains")
    trained = parsed(run.spec, "FineTuneRun")
    if isinstance(trained, Refusal) or not isinstance(trained, FineTuneRunSpec) or trained.template.foreign:
        return  # a run that cannot begin, or whose command decides what is trained, and how
    name = f"FineTuneRun {run.name}"
    if trained.pixels != spec.pixels:
        yield Contradiction(
            run,
            "PixelsDiffer",
            f"spec.pixels: {_window(spec.pixels)}, but the adapter of arm {arm.name} is trained with "
            f"{_window(trained.pixels)} (spec.pixels of {name}); give both the same window",
        )
    if labels := _other_models(arm.model, trained.model):
        yield Contradiction(
            run,
            "BaseModelDiffers",
            f"{where}.model: {labels[0]}, but the adapter of arm {arm.name} is trained on {labels[1]} (spec.model of "
            f"{name}); name the model that it is trained on",
        )
    held = trained.lora.quantization
    if arm.quantization is not None and arm.quantization != held:
        yield Contradiction(
            run,
            "QuantizationDiffers",
            f"{where}.quantization: {arm.quantization}, but the adapter of arm {arm.name} is trained on a base in "
            f"{held} (spec.lora.quantization of {name}); leave it out",
        )
    how = beyond_vllm(held, trained.lora.precision)
    if how is not None and engine_of(arm, spec.engine) == "vllm":
        yield Contradiction(
            run,
            "EngineUnfit",
            f"{where}.engine: vllm, but {name} trains the adapter of arm {arm.name} {how}, which vllm is not asked "
            "for; set engine: transformers for this arm",
        )


def _recipe(spec: EvalRunSpec, where: str, run: Reference, does: str) -> Iterator[Contradiction]:
    if run.recipe is not None and run.recipe != spec.recipe:
        yield Contradiction(
            run,
            "WrongRecipe",
            f"{where}: {run.kind} {run.name} {does} for recipe {run.recipe}, but spec.recipe is {spec.recipe}; set "
            f"spec.recipe to {run.recipe}, or name a run of recipe {spec.recipe}",
        )


def _other_models(asked: ModelSource, trained: ModelSource) -> tuple[str, str] | None:
    """What both are called, where they are surely not the same: two names may be of one model."""
    names = [source.name or source.uri or "" for source in (asked, trained)]
    first, second = map(model_facts, names)
    return (names[0], names[1]) if first is not None and second is not None and first != second else None


def _window(pixels: PixelWindow) -> str:
    return f"{pixels.min_pixels} to {pixels.max_pixels}"
