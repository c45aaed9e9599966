"""What a model is shown of files that a person names, without a run. A recipe may take more than pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabula_workloads.pictures.opening import UnfitPicture, picture_size


class UnfitFile(ValueError):
    """A file that the recipe's model cannot be shown; the message says which, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing to tell of."""

    pictures: tuple[Path, ...]
    """As the model is shown them, in order."""
    prompt: str | None = None
    """What is asked of it, where the recipe's usual words do not do."""


ToldFrom = Callable[[Sequence[Path], Path], Shown]
"""Makes of the named files, all of which are there, what the model is shown. It may write into the second path, a
folder of its own: frames of a video, say. Raises UnfitFile."""


def pictures_alone(files: Sequence[Path], scratch: Path) -> Shown:
    """Each file is a picture. Only headers are read."""
    for file in files:
        try:
            picture_size(file)
        except UnfitPicture as error:
            raise UnfitFile(f"{file} {error.what}") from None
    return Shown(tuple(files))
