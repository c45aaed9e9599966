"""Recipes: what each is, as data, and how the ones that are installed are found."""

from fabula_api.recipes.found import ENTRY_POINTS, RecipesBroken, metrics_of, recipes, stages_of
from fabula_api.recipes.kind_specs import KIND_SPECS, Spec, block_of
from fabula_api.recipes.records import Column, Figure, Kind, Paid, ReadModel, Recipe, Shape, Stage

__all__ = [
    "ENTRY_POINTS",
    "KIND_SPECS",
    "Column",
    "Figure",
    "Kind",
    "Paid",
    "ReadModel",
    "Recipe",
    "RecipesBroken",
    "Shape",
    "Spec",
    "Stage",
    "block_of",
    "metrics_of",
    "recipes",
    "stages_of",
]
