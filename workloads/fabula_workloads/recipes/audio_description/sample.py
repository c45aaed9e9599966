"""A sample of this recipe: a clip, what came before it, who may be seen, and what is said."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from fabula_workloads.recipe_parts.sample import AnySample, Text
from fabula_workloads.recipes.audio_description.annotations.rows import Character

EXEMPLARS = "exemplars.safetensors"
"""File of a dataset with the characters' features."""


class Previous(BaseModel):
    """The description before this one."""

    model_config = ConfigDict(frozen=True)

    text: Text
    clip: str | None = None
    """Its clip among the features of the film; None where the bank has none."""


class NarrationSample(AnySample):
    """One description to learn."""

    source: str
    film: str
    title: str | None = None
    start: float
    end: float
    text: Text
    features: str
    """File with the film's features."""
    exemplars: str = EXEMPLARS
    """File with the characters'."""
    clip: str
    """The clip among them."""
    previous: Previous | None = None
    characters: tuple[Character, ...] = ()
    named: tuple[str, ...] = ()
    pictures: str | None = None
    """Tar file with pictures of the film, for people; None where only features are known."""
    shown: tuple[str, ...] = ()
    """The clip's among them."""

    @property
    def files(self) -> Iterable[str]:
        return (self.features, self.exemplars)
