"""Which sequences are taken: a seeded order over *sorted* candidates, so that a file's order decides nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sequence:
    """One picture sequence as its source has it."""

    story_id: str
    photos: tuple[str, ...]
    """Identities of the photos, in order: the same photo has the same identity in every sequence."""
    pictures: tuple[str, ...]
    """Paths in the source's store, in order."""
    story: str = ""
    """Human story, where there is one. No metric uses it."""
    name: str | None = None
    """Name of the sample folder it was read from."""

    def sample_id(self, number: int, count: int) -> str:
        """Id of the sample: its folder's name, else `sample_07_story_45530`, numbered in the order of choice."""
        return self.name or f"sample_{number:0{max(2, len(str(count)))}}_story_{self.story_id}"


def choose(sequences: Iterable[Sequence], *, seed: int, skipped: Counter[str]) -> Iterator[Sequence]:
    """Sequences in the seeded order, each without a photo of an earlier one; the others are counted in `skipped`."""
    order = sorted(sequences, key=lambda sequence: (sequence.story_id, sequence.pictures))
    random.Random(seed).shuffle(order)  # noqa: S311 - a reproducible order, not a secret
    used: set[str] = set()
    for sequence in order:
        if len(set(sequence.photos)) < len(sequence.photos) or not used.isdisjoint(sequence.photos):
            skipped["sequence/skipped/PhotoShared"] += 1
            continue
        used.update(sequence.photos)
        yield sequence
