"""The spec of a kind under a recipe: the fields that every recipe has, and one block named for the recipe.

A recipe adds its block by a subclass of the kind's spec with one more field. Where the CRD of a cluster does not carry
the block, because it was generated without the recipe, the same fields stand in `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from fabula_api.base import camel
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.recipes import API_KINDS, Kind, Recipe, default_metrics, recipes
from fabula_api.recipes import Spec as Spec
from fabula_api.shared_spec import RunSpec

PARAMETERS = "parameters"
DEFAULT: str = RunSpec.model_fields["recipe"].default
"""The recipe of a run that names none."""


def spec_type(kind: Kind, recipe: str) -> type[DatasetBuildSpec] | type[FineTuneRunSpec] | type[EvalRunSpec]:
    """The model of a kind's spec under a recipe; of an unknown recipe, what every recipe has."""
    installed = recipes().get(recipe)
    return _spec_model(installed, kind) if installed else API_KINDS[kind].spec


def _spec_model(recipe: Recipe, kind: Kind) -> type[DatasetBuildSpec] | type[FineTuneRunSpec] | type[EvalRunSpec]:
    spec = recipe.specs.get(kind, API_KINDS[kind].spec)
    if not issubclass(spec, API_KINDS[kind].spec):  # as `problem_of` has seen to
        raise TypeError(f"recipe {recipe.name}: {spec.__name__} is no {API_KINDS[kind].spec.__name__}")
    return spec


def kind_of(spec: Spec) -> Kind:
    """The kind that has such a spec."""
    return next(kind for kind, definition in API_KINDS.items() if isinstance(spec, definition.spec))


def parse_spec(kind: Kind, wire: Mapping[str, Any]) -> Spec:
    """A spec on the wire as the model of its recipe. Raises ValidationError, with paths as they are on the wire."""
    name = wire.get("recipe", DEFAULT)
    recipe = recipes().get(name) if isinstance(name, str) else None
    if recipe is not None and kind == "EvalRun" and not wire.get("metrics"):
        wire = {**wire, "metrics": list(default_metrics(recipe.name))}
    if recipe is None or kind not in recipe.specs or wire.get(PARAMETERS) is None:
        return spec_type(kind, name if isinstance(name, str) else "").model_validate(wire)
    if (block := camel(recipe.block)) in wire:
        raise ValidationError.from_exception_data(kind, [_twice(block, wire)])
    given = {key: value for key, value in wire.items() if key != PARAMETERS} | {block: wire[PARAMETERS]}
    try:
        return _spec_model(recipe, kind).model_validate(given)
    except ValidationError as error:
        raise ValidationError.from_exception_data(kind, [_renamed(flaw, block) for flaw in error.errors()]) from None


def _twice(block: str, wire: Mapping[str, Any]) -> InitErrorDetails:
    why = PydanticCustomError("twice", f"{PARAMETERS} and {block} are the same fields; give one of them")
    return InitErrorDetails(type=why, loc=(PARAMETERS,), input=wire[PARAMETERS])


def _renamed(error: Any, block: str) -> InitErrorDetails:
    """The error of a field in the recipe's block, at the place where the person wrote it."""
    first, *below = error["loc"]
    return InitErrorDetails(
        # The message is final; as a template, its braces would be placeholders.
        type=PydanticCustomError(error["type"], error["msg"].replace("{", "(").replace("}", ")")),
        loc=(PARAMETERS if first == block else first, *below),
        input=error["input"],
    )
