"""What a judge is asked to look at: criteria, and whether it compares two answers or gives points to each."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from fabula_api.base import LongText, Name, Rule, SpecModel, Text

OVERALL = "overall"
"""Criterion that every rubric has: the one that decides."""


class Criterion(SpecModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9_-]*$")]
    """Name in verdicts and report."""
    about: Text
    """What to look for, in words for the judge."""


class Scale(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = ({"rule": "self.min < self.max", "message": "min must be less than max"},)
    min: int = Field(0, ge=0, le=100)
    """Fewest points."""
    max: int = Field(5, ge=1, le=100)
    """Most points."""


class Rubric(SpecModel):
    of_references: ClassVar[bool] = False
    """Whether its questions are put of the samples' own texts as well, each once, beside those of the arms' answers."""
    name: Name
    """Name by which judges ask for it."""
    task: LongText
    """What the answers were written for, and what makes one good, in words for the judge."""
    criteria: list[Criterion] = Field(default_factory=list, max_length=16)
    """What is looked at beside the whole; every reply has a mark for each."""
    scale: Scale | None = None
    """With it, each answer is shown alone and given points; without it, two are compared."""
    pictures: bool = True
    """Whether the judge sees the pictures."""
    reference: bool = False
    """Whether the judge sees the sample's own text, to compare answers with."""


STORY = Rubric(
    name="story",
    task="Each answer is a conversation written for the pictures, to be spoken aloud. A good one sounds like people "
    "talking, tells something worth hearing, and could not have been written for other pictures. Length alone is no "
    "merit.",
    criteria=[
        Criterion(name="naturalness", about="It sounds like people who talk, with the turns and words of speech."),
        Criterion(name="character", about="The speakers are persons whom one can tell apart."),
        Criterion(name="flow", about="One thing leads to the next, and the whole has a beginning and an end."),
        Criterion(name="grounding", about="It fits what the pictures show, in detail, and invents nothing against it."),
    ],
)
"""The rubric of a judge that names none."""
RUBRICS: dict[str, Rubric] = {rubric.name: rubric for rubric in (STORY,)}
"""Those of every recipe."""
