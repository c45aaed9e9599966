"""A sample as training reads it: pictures, a prompt, and the answer to be learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fabula_workloads.text.plain_text import has_text

MAX_IMAGES = 6


def _visible(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair, which is no character") from None
    if not has_text(text):
        raise ValueError("it is blank")
    return text


def _pictured(paths: list[str]) -> list[str]:
    # No picture at all would leave ranks apart under ZeRO-3: some would gather the vision tower and some would not.
    if not paths:
        raise ValueError("it has no picture, and this model learns from pictures; build the dataset with them")
    return paths


Text = Annotated[str, AfterValidator(_visible)]
"""Text with something to see in it, which can be written down as UTF-8."""


class AnySample(BaseModel):
    """What every recipe's samples have: one line of `train.jsonl`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Text

    @property
    def files(self) -> Iterable[str]:
        """Paths below the artifact's folder that the sample is made of."""
        return ()


class Sample(AnySample):
    """That of a chat model: pictures, prompt and answer. A recipe may ask for more.

    Image paths are below the artifact's folder.
    """

    images: Annotated[list[str], Field(max_length=MAX_IMAGES), AfterValidator(_pictured)]
    prompt: Text
    response: Text

    @property
    def files(self) -> Iterable[str]:
        return self.images
