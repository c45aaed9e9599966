"""What a model that watched said, and when: one JSON object, as the answer of an evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError


class SaidAt(BaseModel):
    """One reply."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float
    """Second of the video at which the model decided to speak."""
    text: str
    finish: Literal["stop", "length", "interrupted"] = "stop"
    decision_seconds: float | None = None
    """Of work, from the frame or the question that brought it to the decision to speak."""
    first_token_seconds: float | None = None
    """Of work, from the decision to the first word."""


class WatchedAnswer(BaseModel):
    """All that was said; nothing, where the model stayed silent, which is a value of its own and no time."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    replies: tuple[SaidAt, ...] = ()

    @property
    def first(self) -> SaidAt | None:
        """The one that counts."""
        return self.replies[0] if self.replies else None

    @property
    def words(self) -> str:
        """Those of the first reply; none where nothing was said."""
        return self.replies[0].text if self.replies else ""

    def written(self) -> str:
        """As it is stored."""
        return self.model_dump_json(exclude_none=True)


def read_answer(text: str) -> WatchedAnswer | None:
    """The answer in a stored text; None for a text that is none."""
    try:
        return WatchedAnswer.model_validate_json(text)
    except ValidationError:
        return None
