"""A tiny world of videos: a coloured sign appears, stays some seconds and goes, and its colour says what to say.

Green is somebody who wants to talk, red somebody who wants to end, yellow a danger. The clips are real video files,
with spans and replies in a CSV, as anybody's own would be.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

FOLDER = "watching"
SIGNS = {
    "wake-up": ((40, 200, 60), "Hello, it is good to see you."),
    "termination": ((220, 40, 40), "Goodbye, I will stop now."),
    "anomaly": ((240, 220, 40), "Careful, something is wrong there."),
}
"""By task: the sign's colour, and what is said to it."""
CLIPS, SECONDS, SIDE, FRAMES_PER_SECOND = 120, 10, 64, 4


@dataclass(frozen=True, slots=True)
class Clip:
    """One video and what belongs to it."""

    name: str
    task: str
    start: float
    end: float
    place: tuple[int, int]
    shade: int


def clips(count: int = CLIPS, seed: int = 0) -> Iterator[Clip]:
    """Signs at any second, of any of the three kinds."""
    rng = random.Random(seed)  # noqa: S311 - pictures, not secrets
    tasks = sorted(SIGNS)
    for number in range(count):
        start = rng.randrange(2 * FRAMES_PER_SECOND, (SECONDS - 4) * FRAMES_PER_SECOND) / FRAMES_PER_SECOND
        yield Clip(
            f"clip-{number:03d}.mp4", tasks[number % len(tasks)], start, start + 3.0,
            (rng.randrange(0, SIDE // 4), rng.randrange(0, SIDE // 4)), rng.randrange(90, 160),
        )  # fmt: skip


def write(folder: Path, count: int = CLIPS, seed: int = 0) -> None:
    """Videos and `spans.csv` into a folder."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    made = list(clips(count, seed))
    (folder / "spans.csv").write_text(spans(made))
    for clip in made:
        draw(folder / "videos" / clip.name, clip)


def spans(made: list[Clip]) -> str:
    """The table: video, start, end, reply, task."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["video", "start", "end", "reply", "task"])
    for clip in made:
        writer.writerow([clip.name, clip.start, clip.end, SIGNS[clip.task][1], clip.task])
    return buffer.getvalue()


def draw(path: Path, clip: Clip) -> None:
    """One video: a grey room, and in it the sign while it is there."""
    import av
    import numpy as np

    colour, _ = SIGNS[clip.task]
    left, top = clip.place
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FRAMES_PER_SECOND)
        for number in range(SECONDS * FRAMES_PER_SECOND):
            picture = np.full((SIDE, SIDE, 3), clip.shade, np.uint8)
            if clip.start <= number / FRAMES_PER_SECOND < clip.end:
                picture[top : top + 3 * SIDE // 4, left : left + 3 * SIDE // 4] = colour
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def corpus() -> list[str]:
    """What a tiny model's tokenizer learns: the replies, and what the model is told."""
    from fabula_workloads.recipes.visual_instruction.watcher.prompts import ANSWER, WATCH

    return [*(reply for _, reply in SIGNS.values()), WATCH, ANSWER] * 8
