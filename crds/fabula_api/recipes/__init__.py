"""Recipes: what each is, as data, and how the ones that are installed are found."""

from fabula_api.recipes.found import (
    ENTRY_POINTS,
    RecipesBroken,
    asked_of,
    default_metrics,
    metrics_of,
    recipes,
    sample_format,
    stages_of,
    unoffered,
)
from fabula_api.recipes.kind_specs import API_KINDS, ApiKind, Spec, block_of, needs_block, unused_of
from fabula_api.recipes.records import (
    HELD_OUT,
    Column,
    Figure,
    Kind,
    Paid,
    ReadModel,
    Recipe,
    SampleFormat,
    Shape,
    Stage,
)

__all__ = [
    "API_KINDS",
    "ENTRY_POINTS",
    "HELD_OUT",
    "ApiKind",
    "Column",
    "Figure",
    "Kind",
    "Paid",
    "ReadModel",
    "Recipe",
    "RecipesBroken",
    "SampleFormat",
    "Shape",
    "Spec",
    "Stage",
    "asked_of",
    "block_of",
    "default_metrics",
    "metrics_of",
    "needs_block",
    "recipes",
    "sample_format",
    "stages_of",
    "unoffered",
    "unused_of",
]
