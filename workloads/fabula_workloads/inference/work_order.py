"""The order of answers: those with most to look at first, alike beside alike, so that batches pad little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fabula_api.shared_spec import PixelWindow
from fabula_workloads.pictures.opening import UnfitPicture, picture_size


def seen_area(pictures: Iterable[Path], pixels: PixelWindow) -> int:
    """Pixels that the model sees of a sample, from the pictures' headers; one that cannot be opened has none."""
    total = 0
    for path in pictures:
        try:
            width, height = picture_size(path)
        except UnfitPicture:
            continue
        total += min(max(width * height, pixels.min_pixels), pixels.max_pixels)
    return total


def work_order(areas: Mapping[str, int], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """(sample, seed) from the largest sample to the smallest; the seeds of one stand together."""
    samples = sorted(areas, key=lambda sample: (-areas[sample], sample))
    return [(sample, seed) for sample in samples for seed in seeds]
