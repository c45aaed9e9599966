"""Clips that belong together: those of a title in time order, and who is in its cast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample
from fabula_workloads.recipes.audio_description.scoring.names import names_of

CAST = 10
"""Characters of a title that the published check of names is told."""
Clips = Sequence[NarrationEvaluationSample]


def title_of(sample: NarrationEvaluationSample) -> str:
    """The title that a clip belongs to: one may have several films or clips, and each is one where none is known."""
    return sample.title or sample.film


def by_title(samples: Iterable[NarrationEvaluationSample]) -> list[Clips]:
    """The clips of each title, in time order."""
    titles: dict[str, list[NarrationEvaluationSample]] = {}
    for sample in samples:
        titles.setdefault(title_of(sample), []).append(sample)
    return [sorted(clips, key=lambda sample: (sample.film, sample.start, sample.id)) for clips in titles.values()]


def cast_of(clips: Clips) -> list[str]:
    """The first characters that may be seen in a title, by the names that descriptions use."""
    return list(dict.fromkeys(name for sample in clips for name in sorted(names_of(sample))))[:CAST]
