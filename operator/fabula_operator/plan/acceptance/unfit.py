"""What of a training run cannot work by what the operator can see: its dataset's recipe and size, its model's layers.

The rest (files of the model, lines of the dataset) is checked by the pod before its ranks start.
"""

from __future__ import annotations

from fabula_api.externals import externals
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.training_fit import too_few, unknown_targets
from fabula_operator.plan.acceptance.model_facts import model_facts
from fabula_operator.plan.seen.observed import Observed, Reference


def unfit(seen: Observed, spec: FineTuneRunSpec) -> tuple[str, str] | None:
    """(reason, message with the field and what would work) of the first thing that cannot; None where all may."""
    if spec.template.foreign:
        return None  # its command decides what is trained, and how
    return (
        _modules(spec)
        or _quantization(spec)
        or (None if settled(seen) else _earlier(seen, spec) or _dataset(seen, spec))
    )


def _modules(spec: FineTuneRunSpec) -> tuple[str, str] | None:
    model = model_facts(spec.model.name or spec.model.uri or "")
    if model is None or spec.training.method != "lora":
        return None
    problem = unknown_targets(spec.lora, model.linear_layers, model.label)
    return ("UnknownTargetModule", f"spec.{problem}") if problem else None


def _quantization(spec: FineTuneRunSpec) -> tuple[str, str] | None:
    model = model_facts(spec.model.name or spec.model.uri or "")
    if model is None or not model.experts or spec.lora.quantization == "none":
        return None
    return (
        "QuantizationImpossible",
        f"spec.lora.quantization: {spec.lora.quantization} cannot hold the experts of {model.label}, which are one "
        "tensor for all; set it to none",
    )


def settled(seen: Observed) -> bool:
    """What a started run reads stays what it was, whatever becomes of the run that made it."""
    status = seen.run.status
    over = status.finished_at is not None and status.observed_generation != seen.run.generation
    return status.started_at is not None and not over


def _earlier(seen: Observed, spec: FineTuneRunSpec) -> tuple[str, str] | None:
    """A training of another recipe, which this one would begin with."""
    for external in externals(spec):
        if external.made_by != "FineTuneRun" or not external.ref:
            continue
        earlier = seen.references.get(("FineTuneRun", external.ref))
        if earlier is not None and earlier.exists and earlier.recipe not in (None, spec.recipe):
            return (
                "WrongRecipe",
                f"spec.{external.field}.ref: FineTuneRun {earlier.name} trains for recipe {earlier.recipe}, but "
                f"spec.recipe is {spec.recipe}; name a run of recipe {spec.recipe}",
            )
    return None


def _dataset(seen: Observed, spec: FineTuneRunSpec) -> tuple[str, str] | None:
    dataset = seen.references.get(("DatasetBuild", spec.dataset.ref)) if spec.dataset.ref else None
    if dataset is None or not dataset.exists:
        return None
    if dataset.recipe is not None and dataset.recipe != spec.recipe:
        return (
            "WrongRecipe",
            f"spec.dataset.ref: DatasetBuild {dataset.name} builds for recipe {dataset.recipe}, but spec.recipe is "
            f"{spec.recipe}; set spec.recipe to {dataset.recipe}, or name a build of recipe {spec.recipe}",
        )
    return _size(dataset, spec) if dataset.ready and dataset.train_samples is not None else None


def _size(dataset: Reference, spec: FineTuneRunSpec) -> tuple[str, str] | None:
    samples = dataset.train_samples or 0
    if samples == 0:
        return (
            "EmptySplit",
            f"spec.dataset.ref: DatasetBuild {dataset.name} has an empty training split; build a larger one, or leave "
            "less of it to validation",
        )
    # How many sequences packing makes of them is known once their lengths are: at most as many as there are samples.
    problem = too_few(spec, samples, f"the training split of DatasetBuild {dataset.name}")
    return ("BatchTooLarge", f"spec.{problem}") if problem else None
