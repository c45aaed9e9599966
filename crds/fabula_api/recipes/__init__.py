"""Recipes: what each is, as data, and how the ones that are installed are found."""

from fabula_api.recipes.found import ENTRY_POINTS, RecipesBroken, metrics_of, recipes, stages_of
from fabula_api.recipes.records import DEFAULT, Kind, ReadModel, Recipe, Shape, Stage

__all__ = [
    "DEFAULT",
    "ENTRY_POINTS",
    "Kind",
    "ReadModel",
    "Recipe",
    "RecipesBroken",
    "Shape",
    "Stage",
    "metrics_of",
    "recipes",
    "stages_of",
]
