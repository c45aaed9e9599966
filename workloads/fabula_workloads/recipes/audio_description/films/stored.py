"""What `frames` and `embed` stored of a film, read back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabula_workloads.pictures.packed import add, packing
from fabula_workloads.recipes.audio_description.annotations.rows import Clip
from fabula_workloads.recipes.audio_description.features.slices import Reason, frames_of
from fabula_workloads.recipes.audio_description.films.records import FRAMES, picture_name
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.outcomes import KeptT, Outcomes

if TYPE_CHECKING:
    from PIL.Image import Image


class FilmFeatures:
    """Features of one film, read as those of a bank are."""

    def __init__(self, file: Path, fps: float) -> None:
        from safetensors.numpy import load_file

        self._frames: Any = load_file(file)[FRAMES]
        self._fps = fps

    def read(self, clip: Clip) -> Any | Reason:
        """A clip's features, (pictures, width), or why it has none."""
        span = frames_of(clip.start, clip.end, self._fps, len(self._frames))
        return self._frames[span.start : span.stop].copy() if isinstance(span, tuple) else span


def outcome_of(ledger: Outcomes[KeptT], item: str) -> KeptT:
    """A film's outcome in the ledger of the stage before. Raises InputInvalid where it has none."""
    if (outcome := ledger.get(item)) is None:
        raise InputInvalid(f"the stage before has no outcome of film {item}; delete its folder to make it anew")
    return outcome


def pictures_of(tar: Path) -> Iterator[Image]:
    """The pictures of a film's tar file, in order."""
    from PIL import Image as images

    with tarfile.open(tar) as packed:
        for entry in packed:
            if (content := packed.extractfile(entry)) is not None:
                yield images.open(io.BytesIO(content.read())).convert("RGB")


def keep_shown(
    tar: Path, clips: Iterable[Clip], count: int, fps: float, frames: int, kept: Path
) -> dict[str, list[str]]:
    """Write the pictures that are shown of each clip, evenly spaced, to another tar file; their names by clip."""
    shown: dict[str, list[str]] = {}
    for clip in clips:
        span = frames_of(clip.start, clip.end, fps, frames)
        if isinstance(span, tuple):
            shown[clip.key] = [picture_name(number) for number in spread(span.start, span.stop, count)]
    wanted = {name for names in shown.values() for name in names}
    with tarfile.open(tar) as packed, packing(kept) as out:
        for entry in packed:
            if entry.name in wanted and (content := packed.extractfile(entry)) is not None:
                add(out, entry.name, content.read())
    return shown


def spread(start: int, stop: int, count: int) -> list[int]:
    """At most `count` different numbers from `start` to before `stop`, each from the middle of an equal part."""
    count = min(count, stop - start)
    return [start + (2 * place + 1) * (stop - start) // (2 * count) for place in range(count)]
