"""The published layout, as it lies on disk: conversations with their seconds, offline ones without."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from fabula_api.recipes.visual_instruction.build import Task

TASKS: dict[str, Task] = {
    "vw": "wake-up", "visual wake-up": "wake-up", "wake-up": "wake-up", "wakeup": "wake-up",
    "aw": "anomaly", "anomaly warning": "anomaly", "anomaly": "anomaly",
    "gu": "gesture", "gesture understanding": "gesture", "gesture": "gesture",
    "vr": "reference", "visual reference": "reference", "reference": "reference",
    "vi": "interruption", "visual interruption": "interruption", "interruption": "interruption",
    "hr": "humor", "humor reaction": "humor", "humour reaction": "humor", "humor": "humor",
    "vt": "termination", "visual termination": "termination", "termination": "termination",
    "other": "other",
}  # fmt: skip
"""Spellings of a task, in lower case and with blanks for underscores."""
_FILE_VERSION = re.compile(r"[_ ]v\d+$", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\s*<(?:image|video|audio)>\s*")
_OPTION = re.compile(r"(?:(?<=\s)|^)([A-H])\.\s*(.+?)(?=\s+[A-H]\.\s|\s*The best option|$)", re.DOTALL)


def _second(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("it is no time")
    return value


Second = Annotated[float, AfterValidator(_second)]


class Layout(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Said(Layout):
    speaker: Literal["human", "gpt"] = Field(validation_alias=AliasChoices("from", "speaker"))
    text: str = Field(validation_alias=AliasChoices("value", "text"))
    time: Second | None = None
    timespan: tuple[Second, Second] | None = None


class Conversation(Layout):
    """One sample of the published schema."""

    video: str | None = Field(None, min_length=1)
    image: str | list[str] | None = None
    """A picture in the place of a video, or a list of one."""
    audio: str | list[str] | None = None
    """A file of sound beside the video, in the place of the video's own, or a list of one."""
    conversations: list[Said] = []
    video_start_time: Second | None = None
    video_end_time: Second | None = None
    proactive: bool | None = None
    task_type: str | None = None
    gesture: str | None = None
    interruption_type: str | None = None
    question: str | None = Field(None, validation_alias=AliasChoices("questions", "question"))
    answer: str | None = Field(None, validation_alias=AliasChoices("ans", "answer"))
    answer_in_full: str | None = Field(None, validation_alias=AliasChoices("ans_full", "answer_in_full"))

    @property
    def offline(self) -> bool:
        """Whether nothing in it has a time: it is asked once all has been seen."""
        timed = [turn for turn in self.conversations if turn.time is not None or turn.timespan is not None]
        return not timed and self.video_end_time is None


class UnknownTask(ValueError):
    """A task that this recipe does not have."""


def task_of(row: Conversation, given: Task | None) -> Task:
    """What the row is about: as it says, else as its source says, else as its other fields tell. Raises UnknownTask."""
    if row.task_type is not None:
        said = TASKS.get(row.task_type.strip().lower().replace("_", " "))
        if said is None and given is None:
            raise UnknownTask(f"task_type {row.task_type!r} is none of {', '.join(sorted(set(TASKS.values())))}")
        return said or given or "other"
    if given is not None:
        return given
    if row.gesture is not None:
        return "gesture"
    return "interruption" if row.interruption_type is not None else "other"


def task_of_file(path: str) -> Task | None:
    """The subtask that a file's name says, whatever version stands behind it: `Gesture_Understanding_v3.json`."""
    return TASKS.get(_FILE_VERSION.sub("", PurePosixPath(path).stem).replace("_", " ").lower())


def bare(text: str) -> str:
    """What is said, without the places where offline samples of the schema have what is shown."""
    return _PLACEHOLDER.sub(" ", text).strip()


def options_of(question: str) -> tuple[str, ...]:
    """The options of a question that ends in `A. ... B. ...`, in order; as many as there are."""
    options: list[str] = []
    for letter, text in _OPTION.findall(question):
        if letter == chr(ord("A") + len(options)):
            options.append(text.strip())
    return tuple(options) if len(options) > 1 else ()
