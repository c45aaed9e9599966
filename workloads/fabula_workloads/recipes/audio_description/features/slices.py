"""Which frames of a film a description's times mean. Pure.

Times become whole seconds before frames are counted, as published; a clip within one second takes those around it.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Reason = Literal["MissingKey", "NegativeTime", "EmptySlice", "BeyondFilm"]


class Slice(NamedTuple):
    """Frames from `start` to before `stop`."""

    start: int
    stop: int


def frames_of(start: float, end: float, fps: float, frames: int) -> Slice | Reason:
    """The frames of a clip in a film of so many, or why it has none."""
    if start < 0 or end < 0:
        return "NegativeTime"
    first, last = round(start), round(end)
    if first == last:
        first, last = math.floor(start), math.ceil(end)
    begin, stop = round(first * fps), min(round(last * fps) + 1, frames)
    if begin >= frames:
        return "BeyondFilm"
    return Slice(begin, stop) if stop > begin else "EmptySlice"
