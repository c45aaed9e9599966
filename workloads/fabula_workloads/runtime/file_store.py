"""The `file://` store: a folder on a local disk or a shared volume.

Every write goes to a temporary file in the target's own folder, is synced, and then renamed (or, to write only where
nothing is, linked): a killed writer leaves a hidden temporary file and nothing else.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, from_os_error
from fabula_workloads.runtime.store import Entry, checked_path, local_path

_TEMPORARY = ".fabula-tmp"
_COPY_BYTES = 4 * 1024 * 1024


class FileStore:
    """A `Store` in a local folder, which is made with the first write."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._base = local_path(uri)

    def read(self, path: str) -> bytes:
        with self._named(path) as target:
            return target.read_bytes()

    def open(self, path: str) -> BufferedReader:
        with self._named(path) as target:
            return target.open("rb")

    def write(self, path: str, data: bytes) -> None:
        with self._named(path) as target, _temporary(target) as (temporary, file):
            file.write(data)
            _sync(file)
            os.replace(temporary, target)
            _sync_folder(target.parent)

    def write_if_absent(self, path: str, data: bytes) -> bool:
        with self._named(path) as target, _temporary(target) as (temporary, file):
            file.write(data)
            _sync(file)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                    raise ConfigInvalid(
                        f"{self.uri} lies on a file system without hard links, so commits there cannot be made "
                        "exclusive; use another volume or an s3:// store"
                    ) from error
                raise
            _sync_folder(target.parent)
            return True

    def upload(self, local: Path, path: str) -> None:
        with (
            self._named(path) as target,
            _temporary(target) as (temporary, file),
            local.open("rb") as source,
        ):
            shutil.copyfileobj(source, file, _COPY_BYTES)
            _sync(file)
            os.replace(temporary, target)
            _sync_folder(target.parent)

    def download(self, path: str, local: Path) -> None:
        with self._named(path) as source_path, source_path.open("rb") as source, _temporary(local) as (temporary, file):
            shutil.copyfileobj(source, file, _COPY_BYTES)
            file.flush()
            os.replace(temporary, local)

    def exists(self, path: str) -> bool:
        with self._named(path) as target:
            return target.is_file()

    def list(self, prefix: str = "") -> Iterator[Entry]:
        start = self._base / checked_path(prefix.rstrip("/")) if prefix else self._base
        if start.is_file():
            yield Entry(prefix, start.stat().st_size)
            return
        try:
            for folder, folders, names in os.walk(start, onerror=_raise_unless_missing):
                folders.sort()
                for name in sorted(names):
                    if name.endswith(_TEMPORARY):
                        continue
                    file = Path(folder, name)
                    try:
                        size = file.stat().st_size
                    except FileNotFoundError:  # removed since the folder was read
                        continue
                    yield Entry(file.relative_to(self._base).as_posix(), size)
        except OSError as error:
            raise from_os_error(error, f"{self.uri}/{prefix}") from error

    def delete(self, prefix: str) -> None:
        with self._named(prefix) as target:
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def child(self, path: str) -> FileStore:
        return FileStore(f"{self.uri}/{quote(checked_path(path))}")

    @contextmanager
    def _named(self, path: str) -> Iterator[Path]:
        """The path on disk; an OSError on the way becomes the failure it means."""
        try:
            target = self._base / checked_path(path)
            if not target.resolve().is_relative_to(self._base.resolve()):
                raise InputInvalid(f"{self.uri}/{path} is a link that leads out of its folder")
            yield target
        except OSError as error:
            raise from_os_error(error, f"{self.uri}/{path}") from error


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `target` (renames are atomic only within one file system), gone at the end whatever happens."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name[:100]}.{uuid.uuid4().hex}{_TEMPORARY}"
    try:
        with temporary.open("xb") as file:
            yield temporary, file
    finally:
        temporary.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_unless_missing(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise error
