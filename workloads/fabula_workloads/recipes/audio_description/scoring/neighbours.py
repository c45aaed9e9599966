"""R@k/N: whether an answer is more like its own reference than like those of the clips around it.

Of the N references of a window of clips in time order, the answer's own has to be among the k that are most like it.
The published windows begin every N/2 clips and leave out what remains behind the last whole one; `all` scores that as
well, by a window that ends with the last clip, and films with fewer than N clips by one window of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Windows = Literal["published", "all"]
Similarity = Callable[[int, int], float]
"""How alike answer i and reference j are."""


def windows(clips: int, size: int, which: Windows) -> list[range]:
    """Places of the clips of each window, in order. Of too few clips, the published ones have none."""
    if clips < size:
        return [range(clips)] if which == "all" and clips else []
    starts = list(range(0, clips - size + 1, max(1, size // 2)))
    if which == "all" and starts[-1] != clips - size:
        starts.append(clips - size)
    return [range(start, start + size) for start in starts]


def hits(clips: int, similarity: Similarity, k: int, size: int, which: Windows) -> list[list[bool]]:
    """For each window, for each of its answers, whether its own reference is among the k most like it. Of equally
    alike references the earlier one comes first."""
    rows = []
    for window in windows(clips, size, which):
        row = []
        for answer in window:
            ordered = sorted(window, key=lambda reference: (-similarity(answer, reference), reference))
            row.append(answer in ordered[:k])
        rows.append(row)
    return rows


def recall(clips: int, similarity: Similarity, k: int, size: int, which: Windows) -> float | None:
    """The figure of a film: the mean over windows of the share of answers that hit. None where there is no window."""
    shares = [sum(row) / len(row) for row in hits(clips, similarity, k, size, which)]
    return sum(shares) / len(shares) if shares else None


def by_answer(clips: int, similarity: Similarity, k: int, size: int, which: Windows) -> list[float | None]:
    """For each answer the share of its windows in which it hits; None for one that is in no window."""
    given: list[list[bool]] = [[] for _ in range(clips)]
    for window, row in zip(windows(clips, size, which), hits(clips, similarity, k, size, which), strict=True):
        for answer, hit in zip(window, row, strict=True):
            given[answer].append(hit)
    return [sum(row) / len(row) if row else None for row in given]


def over_films(figures: Sequence[float | None]) -> float | None:
    """The mean over the films that have a figure."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known else None
