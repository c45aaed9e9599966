"""A video file as it is: how long, how large, turned or not, with or without sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer


class UnfitVideo(Exception):
    """A file that is no video, or one that cannot be read. `reason` is a word for counts, the text is for people."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video's header says. Frames may be missing nevertheless: a cut file still says its whole length."""

    seconds: float
    """Of the pictures; 0 where the header does not say."""
    width: int
    height: int
    """As the pictures are stored, before they are turned."""
    has_audio: bool


@contextmanager
def opened(path: Path, *, pictures: bool = True) -> Iterator[InputContainer]:
    """The file, open for decoding. Raises UnfitVideo for one that is no video, or has no pictures where it has to."""
    import av
    from av.error import FFmpegError

    try:
        container = av.open(str(path))
    except FFmpegError as error:
        raise UnfitVideo("Undecodable", f"it is no video that can be read: {_said(error)}") from None
    with container:
        if pictures and not container.streams.video:
            raise UnfitVideo("NoPictures", "it has no pictures that can be read")
        yield container


def facts(path: Path) -> VideoFacts:
    """What the header says. Raises UnfitVideo."""
    with opened(path) as container:
        stream = container.streams.video[0]
        return VideoFacts(_seconds(container, stream), stream.width, stream.height, bool(container.streams.audio))


def _seconds(container: InputContainer, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(Fraction(container.duration, 1_000_000)) if container.duration else 0.0


def _said(error: Exception) -> str:
    """The library's words without the file's path, which may say whose video it is."""
    return str(getattr(error, "strerror", None) or type(error).__name__)
