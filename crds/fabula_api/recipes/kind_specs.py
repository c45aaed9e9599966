"""The kinds, a record each, and what a recipe may add to the spec of one: a block of fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel

from fabula_api.base import camel
from fabula_api.dataset_build import DatasetBuildSpec, DatasetBuildStatus
from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.recipes.records import Kind, Recipe
from fabula_api.summary import DatasetSummary, ScoreSummary, Summary, TrainSummary

Spec: TypeAlias = DatasetBuildSpec | FineTuneRunSpec | EvalRunSpec


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A field of a spec in which a run may name another one, whose artifact it reads."""

    path: str
    """Dotted, in camelCase; each entry of a list is meant by `[]`: `arms[].adapter`."""
    made_by: Kind
    """Kind of the run that is named."""


@dataclass(frozen=True, slots=True)
class ApiKind:
    """A kind of the API: its names, the models of what it holds, and what stays as it is once a run has started."""

    plural: str
    short: str
    spec: type[DatasetBuildSpec] | type[FineTuneRunSpec] | type[EvalRunSpec]
    """What every recipe has."""
    status: type[DatasetBuildStatus] | type[FineTuneRunStatus] | type[EvalRunStatus]
    summary: type[Summary]
    """What its last stage says, for its status."""
    fixed: tuple[str, ...]
    """Fields of every recipe that cannot change while a run is running, or after it succeeded, in snake_case."""
    names: tuple[NamedRun, ...] = ()
    """Where its spec may name other runs. A recipe adds what it reads beside these (`Recipe.models`)."""


API_KINDS: dict[Kind, ApiKind] = {
    "DatasetBuild": ApiKind(
        "datasetbuilds", "dsb", DatasetBuildSpec, DatasetBuildStatus, DatasetSummary, fixed=("recipe", "output")
    ),
    "FineTuneRun": ApiKind(
        "finetuneruns", "ftr", FineTuneRunSpec, FineTuneRunStatus, TrainSummary,
        fixed=("recipe", "dataset", "model", "lora", "training", "pixels", "deepspeed", "topology", "output"),
        names=(NamedRun("dataset", "DatasetBuild"),),
    ),
    "EvalRun": ApiKind(
        "evalruns", "evr", EvalRunSpec, EvalRunStatus, ScoreSummary,
        fixed=("recipe", "samples", "arms", "baseline", "prompt", "pixels", "generation", "shards", "output"),
        names=(
            NamedRun("samples", "DatasetBuild"),
            NamedRun("arms[].adapter", "FineTuneRun"),
            NamedRun("trainingSet", "DatasetBuild"),
        ),
    ),
}  # fmt: skip


def named_of(kind: Kind, recipe: Recipe | None) -> tuple[NamedRun, ...]:
    """Where a spec of the kind may name other runs under a recipe."""
    read = recipe.models.get(kind, ()) if recipe is not None else ()
    return (*API_KINDS[kind].names, *(NamedRun(camel(model.field), model.made_by) for model in read if model.made_by))


def block_of(kind: Kind, recipe: Recipe) -> type[BaseModel] | None:
    """The model of the recipe's own block in a kind's spec; None where it has none."""
    if kind not in recipe.specs:
        return None
    block = recipe.specs[kind].model_fields[recipe.block].annotation
    return block if isinstance(block, type) and issubclass(block, BaseModel) else None


def needs_block(kind: Kind, recipe: Recipe) -> bool:
    """Whether a run has to have the recipe's block: where all its fields have defaults, it may be left out."""
    return kind in recipe.specs and recipe.specs[kind].model_fields[recipe.block].is_required()


def unused_of(recipe: Recipe, kind: Kind) -> tuple[str, ...]:
    """Fields of the kind that say nothing under the recipe: those that it names, and of a build's those that none of
    its stages reads."""
    named = recipe.unused.get(kind, ())
    if kind != "DatasetBuild" or kind not in recipe.stages:
        return named
    stages = (*recipe.stages[kind], *recipe.dry_run.get(kind, ()))
    read = {path.partition(".")[0] for stage in stages for path in (*stage.reads, *stage.extent)}
    if any(stage.paid for stage in stages):
        read |= {"budget", "prices"}
    if kind in recipe.dry_run:
        read.add("dry_run")
    return (*named, *(path for path in ("target", "budget", "prices", "retry_failed", "dry_run") if path not in read))
