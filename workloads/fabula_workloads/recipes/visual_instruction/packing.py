"""A shard: the pictures of a video at asked moments, and its sound, in one tar file."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fabula_workloads.pictures.opening import open_picture
from fabula_workloads.recipes.visual_instruction.sample import SOUND_NAME, frame_name
from fabula_workloads.video.frames import frames_at
from fabula_workloads.video.sound import seconds_of_sound

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITY = 90


def pack(
    check_stop: Callable[[], None],
    video: Path,
    wanted: Sequence[float],
    side: int,
    sound_until: float,
    shard: Path,
    heard: Path | None = None,
) -> set[float]:
    """Write the shard; the moments that have a picture. `heard` is the file of its sound, where it is not the video."""
    have: set[float] = set()
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        for frame in frames_at(video, wanted, side=side):
            check_stop()
            _add(tar, frame_name(frame.at), _jpeg(frame.picture))
            have.add(frame.at)
        if sound_until:
            _add(tar, SOUND_NAME, _sound(heard or video, sound_until))
    return have


def _sound(file: Path, until: float) -> bytes:
    return b"".join(second.astype("<i2").tobytes() for second in seconds_of_sound(file, 0.0, until))


def pack_picture(picture: Path, side: int, shard: Path, heard: Path | None) -> set[float]:
    """Write the shard of a picture, which is all there is to see of its sample. Raises UnfitPicture, UnfitVideo."""
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, frame_name(0.0), _jpeg(open_picture(picture).resize((side, side))))
        if heard is not None:
            _add(tar, SOUND_NAME, _sound(heard, 1.0))
    return {0.0}


def _jpeg(picture: Image) -> bytes:
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Without times and owners: equal videos make equal shards."""
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
