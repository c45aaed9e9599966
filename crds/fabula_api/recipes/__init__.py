"""Recipes: what each is, as data, and how the ones that are installed are found."""

from fabula_api.recipes.found import ENTRY_POINTS, RecipesBroken, metrics_of, recipes, stages_of
from fabula_api.recipes.records import Kind, Recipe, Shape, Stage

__all__ = ["ENTRY_POINTS", "Kind", "Recipe", "RecipesBroken", "Shape", "Stage", "metrics_of", "recipes", "stages_of"]
