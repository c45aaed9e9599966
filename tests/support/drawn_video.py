"""Small videos drawn for tests: a colour at each moment, a tone beside it, turned or with uneven frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICKS = 1000


def draw_video(
    path: Path,
    shown: Sequence[tuple[float, tuple[int, int, int]]],
    *,
    seconds: float,
    size: tuple[int, int] = (64, 48),
    tone: float | None = None,
) -> Path:
    """A video in which each colour of `shown` begins at its second; frames come only where the picture changes, and
    once more at the end. With `tone`, a sine of that many hertz beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=TICKS)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = Fraction(1, TICKS)
        video.codec_context.gop_size = 4
        audio = container.add_stream("aac", rate=16_000) if tone is not None else None
        if audio is not None:
            audio.layout = "mono"
        last = shown[-1][1]
        for at, colour in [*shown, (seconds - 1 / TICKS, last)]:
            array = np.full((size[1], size[0], 3), colour, np.uint8)
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = round(at * TICKS), Fraction(1, TICKS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and tone is not None:
            samples = np.sin(2 * np.pi * tone * np.arange(round(seconds * 16_000)) / 16_000)
            for begin in range(0, len(samples), 1024):
                part = (samples[begin : begin + 1024] * 20_000).astype(np.int16).reshape(1, -1)
                sound = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = 16_000, begin, Fraction(1, 16_000)
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


def colour_of(picture: object) -> tuple[int, int, int]:
    """The colour in the middle of a picture."""
    width, height = picture.size  # type: ignore[attr-defined]
    return tuple(picture.getpixel((width // 2, height // 2)))  # type: ignore[attr-defined]
