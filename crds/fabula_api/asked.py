"""What an answer is asked for beside its format, so that a metric can say whether it was given."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from fabula_api.base import Rule, SpecModel

Word = Annotated[str, StringConstraints(min_length=1, max_length=63)]


class AskedWords(SpecModel):
    cel: ClassVar[tuple[Rule, ...]] = ({"rule": "self.min <= self.max", "message": "min must not be greater than max"},)
    min: int = Field(ge=0, le=100_000)
    """Fewest words, labels included."""
    max: int = Field(ge=1, le=100_000)
    """Most words of an answer."""


class Asked(SpecModel):
    """What the prompt asks for, as `length-compliance` and `picture-words` measure it."""

    words: AskedWords | None = None
    """Length of an answer. Default: the recipe's, where the prompt is the recipe's."""
    avoid: list[Word] | None = Field(None, max_length=64)
    """Words that betray the pictures, each with its other forms. Default: the recipe's."""
