"""Whether a spec can be read at all: it parses, its recipe exists, its fields say something and name places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fabula_api.base import camel, value_at
from fabula_api.fields import field_at
from fabula_api.once import once
from fabula_api.recipes import API_KINDS, Kind, broken, recipes, unused_of
from fabula_api.specs import DEFAULT, Spec, kind_of, parse_spec
from fabula_api.uri import resolve_uri, uris_of
from fabula_operator.plan.acceptance.refusal import Refusal

RECIPE_BROKEN = "RecipeBroken"
"""Reason of a run whose recipe is installed and cannot be used: nothing is wrong with the run."""
SPECS = 512
"""Specs of which what follows from them is remembered: those of the runs that are looked at right now."""


@once(SPECS)
def parsed(wire: Mapping[str, Any], kind: Kind) -> Spec | Refusal:
    """The spec on the wire as the model of its recipe."""
    named = wire.get("recipe", DEFAULT)
    if isinstance(named, str) and named in broken():
        return Refusal(RECIPE_BROKEN, unusable_recipe(named))
    if isinstance(named, str) and named not in recipes():
        # First: what else it has, only its recipe could tell.
        return Refusal("UnknownRecipe", unknown_recipe(named, kind))
    try:
        return parse_spec(kind, wire)
    except ValidationError as error:
        return Refusal("InvalidSpec", _in_words(error))


def unusable_recipe(recipe: str) -> str:
    """A sentence on one that is installed and cannot be used."""
    return f"spec.recipe: {broken()[recipe]}"


def unknown_recipe(recipe: str, kind: Kind) -> str:
    """A sentence on a recipe that this installation does not have for the kind."""
    known = ", ".join(sorted(name for name, recipe in recipes().items() if kind in recipe.stages))
    return f"spec.recipe: {recipe} has no {kind} in this installation; it knows {known}"


@once(SPECS)
def misplaced(spec: Spec, root: str) -> str | None:
    """A sentence naming the first field whose URI is no place, or could lead out of the one it seems to name."""
    for field, uri in uris_of(spec):
        try:
            resolve_uri(uri, root)
        except ValueError as error:
            return f"spec.{field}: {error}"
    return None


def meaningless(spec: Spec) -> str | None:
    """A sentence naming the first field that says nothing under the run's recipe."""
    recipe, kind = recipes()[spec.recipe], kind_of(spec)
    for path in unused_of(recipe, kind):
        field = field_at(API_KINDS[kind].spec, path)
        if field is not None and value_at(spec, path) != field.get_default(call_default_factory=True):
            return f"spec.{camel(path)}: it says nothing under recipe {spec.recipe}; leave it out"
    return None


def _in_words(error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False)
    first = errors[0]
    path = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"spec.{path}: {first['msg']}{more}"
