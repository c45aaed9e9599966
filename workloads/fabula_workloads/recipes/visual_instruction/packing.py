"""A shard: the pictures of a video at asked moments, and its sound, in one tar file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fabula_workloads.pictures.opening import open_picture
from fabula_workloads.pictures.packed import add, jpeg, packing
from fabula_workloads.recipes.visual_instruction.sample import SOUND_NAME, frame_name
from fabula_workloads.video.frames import frames_at
from fabula_workloads.video.sound import seconds_of_sound

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
    with packing(shard) as tar:
        for frame in frames_at(video, wanted, side=side):
            check_stop()
            add(tar, frame_name(frame.at), jpeg(frame.picture, _QUALITY))
            have.add(frame.at)
        if sound_until:
            add(tar, SOUND_NAME, _sound(heard or video, sound_until))
    return have


def _sound(file: Path, until: float) -> bytes:
    return b"".join(second.astype("<i2").tobytes() for second in seconds_of_sound(file, 0.0, until))


def pack_picture(picture: Path, side: int, shard: Path, heard: Path | None) -> set[float]:
    """Write the shard of a picture, which is all there is to see of its sample. Raises UnfitPicture, UnfitVideo."""
    with packing(shard) as tar:
        add(tar, frame_name(0.0), jpeg(open_picture(picture).resize((side, side)), _QUALITY))
        if heard is not None:
            add(tar, SOUND_NAME, _sound(heard, 1.0))
    return {0.0}
