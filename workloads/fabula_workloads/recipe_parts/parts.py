"""The record that a recipe offers beside its stages: how its samples are read, asked and put in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fabula_workloads.models.family import Collate
from fabula_workloads.recipe_parts.conversation import messages
from fabula_workloads.recipe_parts.named import named
from fabula_workloads.recipe_parts.sample import AnySample, Sample
from fabula_workloads.recipe_parts.telling import ToldFrom, pictures_alone
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.installed import installed_recipe


class Conversation(Protocol):
    """A sample as chat messages, the same in training and evaluation."""

    def __call__(self, num_images: int, prompt: str, response: str | None = None) -> list[dict[str, Any]]:
        """With placeholders for the pictures; with `response`, the target's turn as well."""


@dataclass(frozen=True, slots=True)
class RecipeParts:
    """What training and evaluation ask a recipe for. `Recipe.parts` names it as text.

    Its module is imported by stages that load no model too, so whatever needs torch imports it when it is called.
    """

    prompt_version: str
    """Recorded with what is trained; an adapter is asked with the prompt that it knows. Change it with the words."""
    inference_prompt: Callable[[], str]
    """The prompt of an evaluation that brings none."""
    messages: Conversation = messages
    sample: type[AnySample] = Sample
    """One line of a dataset's `train.jsonl` and `validation.jsonl`."""
    collate: Callable[[Collate], Collate] | None = None
    """Its own way to batches, made from the platform's, whose tensors it may add to or replace."""
    told_from: ToldFrom = pictures_alone
    """What the model is shown of files that a person names: `fabula tell`."""


def parts_of(recipe: str) -> RecipeParts:
    """The parts of an installed recipe. Raises ConfigInvalid where there is none, or none that can be imported."""
    parts = installed_recipe(recipe).parts
    if parts is None:
        raise ConfigInvalid(f"the recipe {recipe} names no parts, so nothing of it can be trained or asked")
    return named(recipe, "parts", parts, RecipeParts)
