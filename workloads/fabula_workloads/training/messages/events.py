"""Events from the first rank of a node to its launcher: JSON lines in a file, so that neither ever waits for the other.

The launcher reports them, and commits checkpoints beside the training that goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

Kind = Literal["started", "step", "checkpoint", "finished", "interrupted"]


class EventWriter:
    """Appends events; a line is written whole before `emit` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def emit(self, kind: Kind, **fields: Any) -> None:
        """Append one event."""
        self._file.write(json.dumps({"event": kind, **fields}) + "\n")


class EventReader:
    """Reads what was appended since the last look; a line that is not finished yet waits for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def poll(self) -> list[dict[str, Any]]:
        """New events, oldest first."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
