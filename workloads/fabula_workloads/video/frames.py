"""Pictures of a video at asked moments: what a viewer would see there, upright, whatever the file's frame rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabula_workloads.video.opening import UnfitVideo, opened

if TYPE_CHECKING:
    from PIL.Image import Image

_SLACK = 1e-6
_AHEAD = 2.0
"""Seconds by which the first frame may be late: many files begin a little after zero."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and the moment that it stands for, in seconds from the video's beginning."""

    at: float
    picture: Image


def moments(start: float, end: float, fps: float) -> list[float]:
    """The moments from `start` up to `end`, `1 / fps` apart; the one at `start` always, the one at `end` never.

    Raises ValueError for a rate that is none.
    """
    if not fps > 0:
        raise ValueError(f"{fps} frames a second")
    count = max(1, math.ceil((end - start) * fps - _SLACK))
    return [start + number / fps for number in range(count)]


def frames_at(path: Path, wanted: Sequence[float], *, side: int | None = None) -> Iterator[Frame]:
    """What is on the screen at each of the `wanted` moments (seconds, ascending), in order.

    On the screen is the last frame that began by then, so variable frame rates need no care. Pictures are upright, as
    players show a phone's, and with `side` squares of that many pixels. Moments behind the last frame have none; the
    caller sees by the count. Raises UnfitVideo for a file that cannot be read, with `Cut` where it ends in its middle.
    """
    from av.error import FFmpegError

    with opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if wanted and wanted[0] > _AHEAD:
            container.seek(int((wanted[0] - _AHEAD) * 1_000_000), backward=True)
        begin = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
        shown: Any = None
        place = 0
        try:
            for frame in container.decode(stream):
                if frame.time is None:
                    continue
                at = frame.time - begin
                while shown is not None and place < len(wanted) and at > wanted[place] + _SLACK:
                    yield Frame(wanted[place], _upright(shown, side))
                    place += 1
                if place == len(wanted):
                    return
                shown = frame
        except FFmpegError:
            raise UnfitVideo("Cut", f"it can be read up to second {_time(shown, begin):.2f} only") from None
        if shown is None:
            raise UnfitVideo("NoPictures", "it has no pictures that can be read")
        last = _time(shown, begin)
        over = last + _shown_for(shown, stream)
        while place < len(wanted) and (wanted[place] <= last + _SLACK or wanted[place] < over - _SLACK):
            yield Frame(wanted[place], _upright(shown, side))
            place += 1


def _time(frame: Any, begin: float) -> float:
    return 0.0 if frame is None else float(frame.time) - begin


def _shown_for(frame: Any, stream: Any) -> float:
    if frame.duration and frame.time_base:
        return float(frame.duration * frame.time_base)
    rate = stream.average_rate or stream.guessed_rate
    return float(1 / rate) if rate else 0.0


def _upright(frame: Any, side: int | None) -> Image:
    picture: Image = frame.to_image()
    if turn := int(getattr(frame, "rotation", 0) or 0) % 360:
        picture = picture.rotate(turn, expand=True)
    if side is not None and picture.size != (side, side):
        from PIL.Image import Resampling

        picture = picture.resize((side, side), Resampling.BICUBIC)
    return picture
