"""One annotated stretch of a video, as every later stage knows it, whatever file it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import ConfigDict

from fabula_api.base import Record
from fabula_api.recipes.visual_instruction.build import Task


class Turn(Record):
    """Something that is said, in seconds of the video."""

    model_config = ConfigDict(frozen=True)

    speaker: Literal["user", "model"]
    text: str
    at: float
    """When it is said. A model's reply belongs anywhere in its span; here it was annotated."""
    start: float | None = None
    """The span in which a reply that comes by itself belongs; None for an answer to a question."""
    end: float | None = None

    @property
    def unasked(self) -> bool:
        """Whether it is a reply to what is seen, and not to a question."""
        return self.speaker == "model" and self.start is not None


class Row(Record):
    """One sample as it was annotated."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    place: str
    """Where it stands in its file, for people: `row 17`."""
    video: str
    """Path below the source's folder."""
    task: Task
    start: float
    end: float | None
    """The stretch that is watched; None: to the video's end."""
    turns: tuple[Turn, ...]
    audio: str | None = None
    """A file below the same folder whose sound is heard; None: the video's own."""
    offline: bool = False
    """Whether its turns have no times of their own: all is said once everything has been seen."""
    still: bool = False
    """Whether it is a picture, and no video."""
    options: tuple[str, ...] = ()
    """Of a question with a choice, in the order of A, B, ..."""
    answer: str | None = None
    """The right option's letter."""

    @property
    def replies(self) -> Iterator[Turn]:
        """What the model is to say."""
        return (turn for turn in self.turns if turn.speaker == "model")

    def turns_until(self, end: float) -> tuple[Turn, ...]:
        """Its turns, for a stretch that ends at that second."""
        return tuple(turn.replace(at=end) for turn in self.turns) if self.offline else self.turns

    def problem(self, seconds: float) -> str | None:
        """A word for why this is no sample of a video of so many `seconds`; None where it is one."""
        end = seconds if self.end is None else min(self.end, seconds)
        if self.start >= seconds or (self.end is not None and self.end <= self.start):
            return "SpanOutsideVideo"
        asked: float | None = None
        for turn in self.turns:
            if turn.speaker == "user":
                asked = turn.at
            elif turn.start is not None and turn.end is not None:
                if turn.end <= turn.start or turn.start >= end or turn.end < self.start:
                    return "SpanOutsideVideo"
            elif asked is not None and turn.at < asked:
                return "AnswerBeforeQuestion"
        return None if any(True for _ in self.replies) else "NoReply"
