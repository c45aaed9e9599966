"""What a recipe trains: by what it names, or else a chat model."""

from __future__ import annotations

from fabula_api.recipes import recipes
from fabula_workloads.recipe_parts.named import named
from fabula_workloads.training.chat import CHAT
from fabula_workloads.training.parts import TrainingParts


def training_of(recipe: str) -> TrainingParts:
    """The training parts of an installed recipe. Raises ConfigInvalid where what it names cannot be imported."""
    found = recipes().get(recipe)
    if found is None or found.training is None:
        return CHAT
    return named(recipe, "training parts", found.training, TrainingParts)
