"""A dataset of short clips as `assemble` makes it, and a tiny Qwen3-VL: a world in which watchers can be trained."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fabula_api.artifact import Manifest
from fabula_quickstart.tiny import qwen3_vl
from fabula_quickstart.watching import SIGNS, Clip, clips, corpus
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.details import PROMPT_VERSION, VideoDatasetDetails
from fabula_workloads.recipes.visual_instruction.sample import SOUND_NAME, VideoSample, frame_name
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.open_store import open_store

SIDE, SECONDS = 64, 10


def sample_of(number: int, clip: Clip, **changes: Any) -> VideoSample:
    """A clip of the tiny world, one picture a second."""
    reply = Turn(
        speaker="model", text=SIGNS[clip.task][1], at=(clip.start + clip.end) / 2, start=clip.start, end=clip.end
    )
    given = {
        "id": f"tiny-{number:03d}", "source": "tiny", "video": clip.name, "task": clip.task, "start": 0.0,
        "end": float(SECONDS), "shard": f"videos/{clip.name}.tar", "frames": tuple(map(float, range(SECONDS))),
        "turns": (reply,),
    }  # fmt: skip
    return VideoSample.model_validate(given | changes)


def shard_of(clip: Clip, *, sound: bool = False) -> bytes:
    """The clip as `decode` packs it."""
    buffer = io.BytesIO()
    left, top = clip.place
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for second in range(SECONDS):
            picture = np.full((SIDE, SIDE, 3), clip.shade, np.uint8)
            if clip.start <= second < clip.end:
                picture[top : top + 48, left : left + 48] = SIGNS[clip.task][0]
            data = io.BytesIO()
            Image.fromarray(picture).save(data, "JPEG", quality=95)
            _add(tar, frame_name(float(second)), data.getvalue())
        if sound:
            waves = np.random.default_rng(0).normal(scale=1000, size=SECONDS * 16_000).astype("<i2")
            _add(tar, SOUND_NAME, waves.tobytes())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def write_watching(folder: Path, train: int = 12, validation: int = 6, *, sound: bool = False) -> Manifest:
    """A committed dataset."""
    store = open_store(f"file://{folder}")
    made = list(clips(train + validation))
    parts = [add_part(store, f"videos/{clip.name}.tar", shard_of(clip, sound=sound)) for clip in made]
    splits = {"train": range(train), "validation": range(train, train + validation)}
    for split, numbers in splits.items():
        lines = _lines(sample_of(number, made[number], sound=sound) for number in numbers)
        parts.append(add_part(store, f"{split}.jsonl", lines))
    details = VideoDatasetDetails(
        recipe="visual-instruction", prompt_version=PROMPT_VERSION, splits={k: len(v) for k, v in splits.items()},
        fps=1, side=SIDE, sound=sound,
    )  # fmt: skip
    return commit(store, kind="dataset", parts=parts, details=details)


def _lines(samples: Iterable[VideoSample]) -> bytes:
    return "".join(sample.model_dump_json() + "\n" for sample in samples).encode()


def build_watching_model(folder: Path) -> Path:
    """A tiny Qwen3-VL that knows the words of this world."""
    qwen3_vl.build(folder, corpus())
    return folder
