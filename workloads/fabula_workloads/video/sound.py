"""The sound of a video, in whole seconds of one channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabula_workloads.video.opening import UnfitVideo, opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
"""Samples a second, as encoders of speech expect."""


def seconds_of_sound(path: Path, start: float, end: float, rate: int = RATE) -> Iterator[NDArray[np.int16]]:
    """Second by second from `start` on, each `rate` samples of int16; the last one is filled up with silence.

    The file may be a video, or sound alone. Nothing where it has no sound; silence in its place where the sound begins
    late. Raises UnfitVideo for a file that cannot be read.
    """
    import av
    import numpy as np
    from av.error import FFmpegError

    with opened(path, pictures=False) as container:
        if not container.streams.audio:
            return
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        pieces: list[Any] = []
        first: float | None = None
        try:
            for frame in container.decode(stream):
                if first is None and frame.time is not None:
                    first = frame.time
                for part in resampler.resample(frame):
                    pieces.append(part.to_ndarray().reshape(-1))
            for part in resampler.resample(None):
                pieces.append(part.to_ndarray().reshape(-1))
        except FFmpegError:
            raise UnfitVideo("Cut", "its sound cannot be read to its end") from None
    if not pieces:
        return
    whole = np.concatenate(pieces)
    if first is not None and first > 0:
        whole = np.concatenate([np.zeros(round(first * rate), np.int16), whole])
    wanted = whole[round(start * rate) : round(end * rate)]
    for begin in range(0, len(wanted), rate):
        second = wanted[begin : begin + rate]
        yield np.pad(second, (0, rate - len(second)))
