"""A dataset's features, read clip by clip: files are mapped into memory, opened once in each process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from fabula_workloads.runtime.failures import InputInvalid

_OPEN = 256
"""Films that a process holds open."""


@lru_cache(maxsize=_OPEN)
def _opened(process: int, path: str) -> Any:
    from safetensors import safe_open

    return safe_open(path, framework="pt")


class Shards:
    """The features below one dataset folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, file: str, key: str) -> Any:
        """A tensor. Raises InputInvalid where the file is none, or has no such key."""
        with_file = self._file(file)
        try:
            return with_file.get_tensor(key)
        except Exception as error:
            raise InputInvalid(f"{file} has no readable features {key!r}: {error}") from None

    def shape(self, file: str, key: str) -> tuple[int, ...]:
        """Of a tensor, which is not read. Raises InputInvalid."""
        try:
            return tuple(self._file(file).get_slice(key).get_shape())
        except Exception as error:
            raise InputInvalid(f"{file} has no readable features {key!r}: {error}") from None

    def _file(self, file: str) -> Any:
        try:
            # A file that a parent had open is opened anew: what it maps is not shared safely with readers that seek.
            return _opened(os.getpid(), str(self.folder / file))
        except Exception as error:
            raise InputInvalid(f"{file} is no safetensors file, or is not there: {error}") from None
