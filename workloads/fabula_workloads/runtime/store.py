"""Where artifacts live: one small interface over `file://` and `s3://`, so that no stage knows which of them it uses.

A store is rooted at one folder; paths are relative with forward slashes. Writes are atomic: a reader sees a whole file
or none, whenever the writer dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from fabula_api import uri as uris
from fabula_api.uri import FILE, path_problem
from fabula_workloads.runtime.failures import ConfigInvalid


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored file: its path below the store and its size in bytes."""

    path: str
    size: int


class Store(Protocol):
    """Files below one folder. Failures are named: NotFound, CredentialsRefused, TryAgain (see `failures`)."""

    uri: str
    """Of the folder, without a slash at the end."""

    def read(self, path: str) -> bytes:
        """The whole content. Raises NotFound."""
        ...

    def open(self, path: str) -> BufferedReader:
        """A stream of the content, for what may be large. Raises NotFound."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Store `data`, in place of what is there."""
        ...

    def write_if_absent(self, path: str, data: bytes) -> bool:
        """Store `data` unless something is there; then leave that alone and return False."""
        ...

    def upload(self, local: Path, path: str) -> None:
        """Store a local file, in place of what is there."""
        ...

    def download(self, path: str, local: Path) -> None:
        """Copy to a local file; `local` is whole or absent. Raises NotFound."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file is stored under exactly this path."""
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file in the folder `prefix`, at any depth, in no promised order (or the file `prefix` itself)."""
        ...

    def delete(self, prefix: str) -> None:
        """Remove the file or the folder `prefix`; nothing there is no error."""
        ...

    def child(self, path: str) -> Store:
        """The store rooted at a folder below this one."""
        ...


def checked_path(path: str) -> str:
    """The path itself when it stays inside the store. Raises ConfigInvalid for one that does not, or may not."""
    if problem := path_problem(path):
        raise ConfigInvalid(f"{path!r} is not a path below an artifact store: {problem}")
    return path


def resolve_uri(uri: str, root: str) -> str:
    """As `fabula_api.uri.resolve_uri`; what is no place raises ConfigInvalid."""
    try:
        return uris.resolve_uri(uri, root)
    except ValueError as error:
        raise ConfigInvalid(str(error)) from None


def local_path(uri: str) -> Path:
    """The path behind a `file://` URI."""
    return Path(unquote(uri.removeprefix(FILE)))


def split_uri(uri: str) -> tuple[str, str]:
    """(folder, last part) of an absolute URI; the part as it is in the folder's store."""
    folder, _, name = uri.rpartition("/")
    return folder, unquote(name) if uri.startswith(FILE) else name
