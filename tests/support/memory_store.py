"""A store in memory, for rules that need its conditional writes and no disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.store import Entry


class MemoryStore:
    """A `Store`; several views share one dict."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.uri = "memory://"
        self.files: dict[str, bytes] = {} if files is None else files

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise NotFound(f"{self.uri}{path}")
        return self.files[path]

    def open(self, path: str) -> BufferedReader:
        return BufferedReader(io.BytesIO(self.read(path)))  # type: ignore[arg-type]

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def write_if_absent(self, path: str, data: bytes) -> bool:
        if path in self.files:
            return False
        self.files[path] = data
        return True

    def upload(self, local: Path, path: str) -> None:
        self.write(path, local.read_bytes())

    def download(self, path: str, local: Path) -> None:
        local.write_bytes(self.read(path))

    def exists(self, path: str) -> bool:
        return path in self.files

    def list(self, prefix: str = "") -> Iterator[Entry]:
        below = f"{prefix}/" if prefix else ""
        entries = [
            Entry(path, len(data)) for path, data in self.files.items() if path == prefix or path.startswith(below)
        ]
        yield from sorted(entries, key=lambda entry: entry.path)

    def delete(self, prefix: str) -> None:
        for path in [path for path in self.files if path == prefix or path.startswith(f"{prefix}/")]:
            del self.files[path]

    def child(self, path: str) -> MemoryStore:
        raise NotImplementedError(path)
