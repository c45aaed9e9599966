"""What a recipe trains: by what it names, or else a chat model."""

from __future__ import annotations

from fabula_workloads.recipe_parts.named import named
from fabula_workloads.runtime.installed import installed_recipe
from fabula_workloads.training.chat import CHAT
from fabula_workloads.training.parts import TrainingParts


def training_of(recipe: str) -> TrainingParts:
    """The training parts of an installed recipe. Raises ConfigInvalid where what it names cannot be imported."""
    training = installed_recipe(recipe).training
    return CHAT if training is None else named(recipe, "training parts", training, TrainingParts)
