"""Which frames of a clip are taken. Pure: what is drawn follows from a key, so a run that goes on draws the same."""

from __future__ import annotations

import itertools
import random

NONE = -1
"""Place that no frame fills: its features are zero."""


def drawn(frames: int, wanted: int, key: str) -> list[int]:
    """One frame of each of `wanted` near-equal segments; a shorter clip is taken whole, and padded at its end."""
    if frames < wanted:
        return [*range(frames), *[NONE] * (wanted - frames)]
    rng = random.Random(key)  # noqa: S311 - frames, not a secret
    bounds = [segment * frames // wanted for segment in range(wanted + 1)]
    return [rng.randrange(start, stop) for start, stop in itertools.pairwise(bounds)]


def spaced(frames: int, wanted: int, *, repeat: bool) -> list[int]:
    """Evenly spaced frames, the first and the last among them. A shorter clip repeats some, or else is padded."""
    if frames < wanted and not repeat:
        return [*range(frames), *[NONE] * (wanted - frames)]
    if wanted == 1:
        return [0]
    return [place * (frames - 1) // (wanted - 1) for place in range(wanted)]
