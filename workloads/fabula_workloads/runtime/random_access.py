"""Reading of parts of a large file that lies on disk or on S3, without the rest of it."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from fabula_api.uri import FILE
from fabula_workloads.runtime.failures import NotFound, from_os_error
from fabula_workloads.runtime.store import local_path, split_uri

_AT_ONCE = 1024 * 1024
"""Bytes of one request: what is read of a bank of features lies together."""


def open_random(uri: str) -> BinaryIO:
    """The file at an absolute URI, to be read at any place of it. Raises NotFound."""
    if uri.startswith(FILE):
        path = local_path(uri)
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise NotFound(uri) from None
        except OSError as error:
            raise from_os_error(error, uri) from error
    return cast(BinaryIO, io.BufferedReader(_Remote(uri), _AT_ONCE))


class _Remote(io.RawIOBase):
    """An object on S3: each read is a request for its bytes."""

    def __init__(self, uri: str) -> None:
        from fabula_workloads.runtime.s3_store import S3Store

        folder, self._name = split_uri(uri)
        self._store = S3Store(folder)
        self._size = self._store.size(self._name)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        data = self._store.read_range(self._name, self._place, wanted)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
