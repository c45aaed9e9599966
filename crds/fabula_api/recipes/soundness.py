"""Whether a recipe can be carried out, found out when it is loaded: all that it names must be there.

Operator and workers know a recipe by its records alone. A field that no spec has, or a stage that cannot be of its
kind, would else be met in the middle of somebody's run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from inspect import get_annotations
from typing import get_args

from fabula_api.base import NAME, NAME_LENGTH
from fabula_api.fields import can_be_read, field_at, model_at
from fabula_api.metrics import METRICS, NAME_PATTERN, PROFILES, Metric
from fabula_api.recipes.kind_specs import API_KINDS, block_of
from fabula_api.recipes.records import ColumnType, Kind, ReadModel, Recipe, Stage
from fabula_api.recipes.stage_soundness import OBJECT, nearest, problems_of_stages
from fabula_api.rubrics import Rubric
from fabula_api.shared_spec import ArtifactSource, ModelSource, RunSpec
from fabula_api.summary import EstimateSummary


def problem_of(recipe: Recipe) -> str | None:
    """The first thing that is wrong with a recipe: where it stands, and what would do. None where nothing is."""
    return next(_problems(recipe), None)


def _problems(recipe: Recipe) -> Iterator[str]:
    yield from _names(recipe)
    yield from _specs(recipe)
    for kind, stages in recipe.stages.items():
        yield from problems_of_stages(f"its {kind}", kind, stages, _spec(recipe, kind))
    for kind, stages in recipe.dry_run.items():
        yield from problems_of_stages(f"a dry run of its {kind}", kind, stages, _spec(recipe, kind), spends=False)
    yield from _summaries(recipe)
    yield from _fields(recipe)
    for metric in recipe.metrics:
        yield from _metric(recipe, metric)
    yield from _measured(recipe)


def _spec(recipe: Recipe, kind: Kind) -> type[RunSpec]:
    return recipe.specs.get(kind, API_KINDS[kind].spec)


def _names(recipe: Recipe) -> Iterator[str]:
    if not re.fullmatch(NAME, recipe.name) or len(recipe.name) > NAME_LENGTH:
        yield f"its name is none that spec.recipe can have: small letters, digits and hyphens, at most {NAME_LENGTH}"
    by_kind: dict[str, Mapping[Kind, object]] = {
        "stages": recipe.stages, "dry_run": recipe.dry_run, "specs": recipe.specs, "fixed": recipe.fixed,
        "columns": recipe.columns, "examples": recipe.examples, "models": recipe.models, "unused": recipe.unused,
    }  # fmt: skip
    for field, mapping in by_kind.items():
        for kind in mapping.keys() - API_KINDS.keys():
            yield f"its {field} are of {kind}, which is no kind; {nearest(str(kind), API_KINDS)}"
    for field, named in (("parts", recipe.parts), ("training", recipe.training), ("evaluation", recipe.evaluation)):
        if named is not None and not OBJECT.fullmatch(named):
            yield f"its {field} are {named!r}; name them as `module:object`"


def _specs(recipe: Recipe) -> Iterator[str]:
    for kind, spec in recipe.specs.items():
        base = API_KINDS[kind].spec
        if not issubclass(spec, base):
            yield f"its spec of a {kind} is {spec.__name__}, which is no {base.__name__}"
            continue
        if recipe.block in base.model_fields:
            yield f"its block would be called {recipe.block}, which every {kind} has already; call the recipe otherwise"
        if set(spec.model_fields) - set(base.model_fields) != {recipe.block}:
            yield f"{spec.__name__} must add one field to {base.__name__}, and name it {recipe.block}"
        elif block_of(kind, recipe) is None:
            yield f"{spec.__name__}.{recipe.block} is no block of fields: make it a model"
        for field in sorted(_declared(spec, base) & base.model_fields.keys()):
            yield f"{spec.__name__} has {field} anew, which every {kind} has; put it into the block {recipe.block}"


def _declared(spec: type[RunSpec], base: type[RunSpec]) -> set[str]:
    """Names that the classes from a spec up to the kind's own give a type."""
    above = set(base.__mro__)
    return {name for owner in spec.__mro__ if owner not in above for name in get_annotations(owner)}


def _summaries(recipe: Recipe) -> Iterator[str]:
    """Stages at a kind's end whose result would not say what its status shows."""
    if not recipe.stages:
        yield "it has no stages; name those of one kind at least"
    last: list[tuple[Kind, Stage]] = [(kind, stages[-1]) for kind, stages in recipe.stages.items() if stages]
    last += [(kind, stages[-1]) for kind, stages in recipe.dry_run.items() if stages]
    for kind, stage in last:
        wanted = EstimateSummary if stage.estimates else API_KINDS[kind].summary
        if not issubclass(stage.summary, wanted):
            yield f"its {kind} ends with {stage.name}, whose summary is {stage.summary.__name__}, no {wanted.__name__}"


def _fields(recipe: Recipe) -> Iterator[str]:
    """Paths beside those of its stages."""
    for kind, paths in recipe.fixed.items():
        for path in paths:
            if field_at(_spec(recipe, kind), path) is None:
                yield f"its fixed of a {kind} have {path}, which is no field there"
    for kind, paths in recipe.unused.items():
        for path in paths:
            if field_at(API_KINDS[kind].spec, path) is None:
                yield f"its unused of a {kind} have {path}, which is no field that every {kind} has"
    for kind, models in recipe.models.items():
        for model in models:
            yield from _model(model, kind, _spec(recipe, kind))
    for columns in recipe.columns.values():
        for column in columns:
            if not column.path.startswith(".") or column.type not in get_args(ColumnType):
                yield f"its column {column.name} shows {column.path!r} as {column.type!r}; a path begins with a dot"


def _model(model: ReadModel, kind: Kind, spec: type[RunSpec]) -> Iterator[str]:
    where = f"its {model.name}, which a {kind} reads,"
    source = model_at(spec, model.field)
    if source is None or not issubclass(source, ModelSource | ArtifactSource):
        yield f"{where} is to be named by {model.field}, which is no ModelSource or ArtifactSource of the spec"
    if model.when is not None and not can_be_read(spec, model.when[0]):
        yield f"{where} depends on {model.when[0]}, which is no field of the spec"
    if model.made_by is not None and model.made_by not in API_KINDS:
        yield f"{where} is made by a {model.made_by}, which is no kind; {nearest(model.made_by, API_KINDS)}"


def _metric(recipe: Recipe, metric: Metric) -> Iterator[str]:
    where = f"its metric {metric.name}"
    if not metric.name.startswith(f"{recipe.name}/"):
        yield f"{where} must be called {recipe.name}/{metric.name.rpartition('/')[2]}"
    if not re.fullmatch(NAME_PATTERN, metric.name):
        yield f"{where} has a name that no run can ask for: small letters, digits and hyphens behind the slash"
    if not metric.definitions:
        yield f"{where} has no definition"
    for profile, definition in metric.definitions.items():
        if profile not in PROFILES:
            yield f"{where} is defined under {profile}, which is no profile; {nearest(profile, PROFILES)}"
        if not OBJECT.fullmatch(definition.function):
            yield f"{where} is computed by {definition.function!r}; name it as `module:function`"
    if metric.over == "answer" and metric.reads not in recipe.offers:
        yield f"{where} reads {metric.reads}, which the recipe does not offer; {nearest(metric.reads, recipe.offers)}"
    try:
        format(0.5, metric.shown)
    except (TypeError, ValueError):
        yield f"{where} is shown as {metric.shown!r}, which formats no number; .3f does"


def _measured(recipe: Recipe) -> Iterator[str]:
    several: dict[str, Sequence[Metric | Rubric]] = {"metrics": recipe.metrics, "rubrics": recipe.rubrics}
    for what, records in several.items():
        counts = Counter(record.name for record in records)
        yield from (f"it has two {what} {name}" for name, count in counts.items() if count > 1)
    for name in recipe.usual_metrics or ():
        if name not in METRICS:
            yield f"its usual_metrics have {name}, which is none of Fabula's; {nearest(name, METRICS)}"
    if not recipe.sample_formats:
        yield "it reads no layout of samples; leave sample_formats out for the plain one"
