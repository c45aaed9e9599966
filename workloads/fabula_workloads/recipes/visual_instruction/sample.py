"""A sample of this recipe: pictures at their seconds, and what is said to them, and when."""

from __future__ import annotations

from collections.abc import Iterable

from fabula_api.recipes.visual_instruction.build import Task
from fabula_workloads.recipe_parts.sample import AnySample
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn


def frame_name(at: float) -> str:
    """Of a picture in its shard, by the moment that it shows; names are in the order of time."""
    return f"{round(at * 1000):010d}.jpg"


SOUND_NAME = "sound.s16"
"""Of a video's sound in its shard: one channel of little-endian int16 at 16 kHz, in whole seconds from second 0."""


class VideoSample(AnySample):
    """One stretch of a video to learn from."""

    source: str
    video: str
    task: Task
    start: float
    end: float
    shard: str
    """Tar file with the video's pictures, and its sound where there is any."""
    frames: tuple[float, ...]
    """Moments of its pictures, in seconds of the video."""
    sound: bool = False
    turns: tuple[Turn, ...]
    options: tuple[str, ...] = ()
    answer: str | None = None
    learn_when: bool = True

    @property
    def files(self) -> Iterable[str]:
        return (self.shard,)
