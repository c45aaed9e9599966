"""A video's shard, as `decode` packed it: pictures at moments, and sound in whole seconds."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fabula_workloads.recipes.visual_instruction.sample import SOUND_NAME, frame_name
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.video.sound import RATE


def pictures_of(shard: Path, moments: Sequence[float]) -> list[Image.Image]:
    """The pictures at these moments. Raises InputInvalid where the shard lacks one, or cannot be read."""
    try:
        with tarfile.open(shard) as tar:
            return [_picture(tar, shard, at) for at in moments]
    except (tarfile.TarError, OSError) as error:
        raise InputInvalid(f"{shard.name} cannot be read: {error}") from error


def seconds_of(shard: Path, start: int, end: int) -> NDArray[np.int16]:
    """(seconds, 16,000): whole seconds from `start` to before `end`, fewer where the sound ends before.

    Raises InputInvalid where the shard has no sound.
    """
    try:
        with tarfile.open(shard) as tar:
            content = tar.extractfile(SOUND_NAME)
            data = content.read() if content is not None else b""
    except (KeyError, tarfile.TarError, OSError) as error:
        raise InputInvalid(f"{shard.name} has no sound that can be read: {error}") from error
    whole = np.frombuffer(data, "<i2").astype(np.int16)
    return whole[: len(whole) // RATE * RATE].reshape(-1, RATE)[start:end]


def _picture(tar: tarfile.TarFile, shard: Path, at: float) -> Image.Image:
    try:
        content = tar.extractfile(frame_name(at))
    except KeyError:
        raise InputInvalid(f"{shard.name} has no picture of second {at:g}; build the dataset again") from None
    data = content.read() if content is not None else b""
    return Image.open(io.BytesIO(data)).convert("RGB")
