"""Banks of features in HDF5, on disk or on S3: of an entry only the rows that are asked for are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fabula_api.recipes.audio_description.build import Bank as BankSpec
from fabula_workloads.recipes.audio_description.annotations.rows import Clip
from fabula_workloads.recipes.audio_description.features.slices import Reason, frames_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.random_access import open_random

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Features = NDArray[np.floating[Any]]


class Bank:
    """An open HDF5 file."""

    def __init__(self, file: Any, spec: BankSpec) -> None:
        self._file, self._spec = file, spec

    def read(self, clip: Clip) -> Features | Reason:
        """A clip's features, (frames, width) or (frames, features of a frame, width); or why it has none."""
        import h5py

        entry = self._file.get(clip.entry)
        if not isinstance(entry, h5py.Dataset):
            return "MissingKey"
        if entry.ndim < 2:
            raise InputInvalid(
                f"{self._spec.uri}: {clip.entry} has shape {entry.shape}, not one row of features a frame"
            )
        if self._spec.layout == "clips":
            if clip.start < 0 or clip.end < 0:
                return "NegativeTime"
            return entry[()] if len(entry) else "EmptySlice"
        span = frames_of(clip.start, clip.end, self._spec.fps, len(entry))
        return entry[span.start : span.stop] if isinstance(span, tuple) else span


@contextmanager
def open_bank(uri: str, spec: BankSpec) -> Iterator[Bank]:
    """The bank at an absolute URI. Raises InputInvalid for what is no HDF5 file."""
    import h5py

    with open_random(uri) as stream:
        try:
            file = h5py.File(stream, "r")
        except OSError as error:
            raise InputInvalid(f"{spec.uri} is no HDF5 file, or is cut short: {error}") from None
        with file:
            yield Bank(file, spec)
