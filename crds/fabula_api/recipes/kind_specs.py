"""The kinds, a record each, and what a recipe may add to the spec of one: a block of fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel

from fabula_api.dataset_build import DatasetBuildSpec, DatasetBuildStatus
from fabula_api.eval_run import EvalRunSpec, EvalRunStatus
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.fine_tune_status import FineTuneRunStatus
from fabula_api.recipes.records import Kind, Recipe
from fabula_api.summary import DatasetSummary, ScoreSummary, Summary, TrainSummary

Spec: TypeAlias = DatasetBuildSpec | FineTuneRunSpec | EvalRunSpec


@dataclass(frozen=True, slots=True)
class ApiKind:
    """A kind of the API: its names, and the models of what it holds."""

    plural: str
    short: str
    spec: type[DatasetBuildSpec] | type[FineTuneRunSpec] | type[EvalRunSpec]
    """What every recipe has."""
    status: type[DatasetBuildStatus] | type[FineTuneRunStatus] | type[EvalRunStatus]
    summary: type[Summary]
    """What its last stage says, for its status."""


API_KINDS: dict[Kind, ApiKind] = {
    "DatasetBuild": ApiKind("datasetbuilds", "dsb", DatasetBuildSpec, DatasetBuildStatus, DatasetSummary),
    "FineTuneRun": ApiKind("finetuneruns", "ftr", FineTuneRunSpec, FineTuneRunStatus, TrainSummary),
    "EvalRun": ApiKind("evalruns", "evr", EvalRunSpec, EvalRunStatus, ScoreSummary),
}


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
