"""Records every file that code opens for reading, whichever library opens it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_records: list[set[Path]] = []
_installed = False


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _records:
        return
    path, mode, flags = arguments
    reads = "r" in mode or "+" in mode if isinstance(mode, str) else flags & os.O_ACCMODE != os.O_WRONLY
    if reads and isinstance(path, str | bytes | os.PathLike):
        for record in _records:
            record.add(Path(os.fsdecode(path)))


@contextmanager
def opened() -> Iterator[set[Path]]:
    """The paths that are opened for reading meanwhile. An audit hook stays for good; it then hears no more."""
    global _installed
    if not _installed:
        sys.addaudithook(_hear)
        _installed = True
    record: set[Path] = set()
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)
