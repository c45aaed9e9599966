"""The lines of a transcript source: gzip or plain, a file or a folder, on disk or on S3, never all in memory."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from fabula_api.artifact import digest_of
from fabula_workloads.runtime.artifact import sha256_of
from fabula_workloads.runtime.failures import InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, split_uri

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Longer lines are no records (a day of talk is 1.5 MB); they are passed over in pieces."""
_GZIP_MAGIC = b"\x1f\x8b"
_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".ndjson", ".ndjson.gz")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file of the source. `data` is None where the line is too long."""

    file: str
    number: int
    data: bytes | None
    record: dict[str, Any] | None = None
    """The line as a record, where the file holds records and no text."""


class Source:
    """A transcript file, or all JSON-lines files of a folder."""

    def __init__(self, uri: str) -> None:
        """Raises NotFound when nothing is there, InputInvalid when a folder holds no JSON lines."""
        self.uri = uri
        folder, name = split_uri(uri)
        parent = open_store(folder)
        self._store: Store
        if parent.exists(name):
            self._store, self.files = parent, [name]
            return
        self._store = open_store(uri)
        paths = sorted(entry.path for entry in self._store.list())
        if not paths:
            raise NotFound(uri, "podcast.source.uri must name a transcript file or a folder of them")
        self.files = [path for path in paths if path.endswith(_SUFFIXES)]
        if not self.files:
            raise InputInvalid(f"{uri} holds {len(paths)} files, but none is named {' or '.join(_SUFFIXES[:2])}")

    def digest(self) -> str:
        """Digest of the content of all files, read once for it."""
        hashes = []
        for path in self.files:
            with self._store.open(path) as file:
                hashes.append([path, sha256_of(file)])
        return f"sha256:{hashes[0][1]}" if len(hashes) == 1 else digest_of(hashes)

    def lines(self) -> Iterator[Line]:
        """All lines that are not blank. Raises InputInvalid, with file and line, where a file is damaged."""
        for path in self.files:
            with self._store.open(path) as raw:
                yield from _lines(raw, f"{self._store.uri}/{path}", path)


def _look_at_first(line: bytes, uri: str) -> None:
    """Raise InputInvalid for a file that holds no lines of JSON at all, saying what it is."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputInvalid(f"{uri}, line 1: the file is UTF-16; save it as UTF-8")
    begin = line.strip()
    if begin == b"{" or begin == b"[" or (begin.startswith(b"[") and b"{" in begin[:200]):
        what = "a JSON array" if begin.startswith(b"[") else "a JSON object over several lines"
        raise InputInvalid(f"{uri}, line 1: the file is {what}; write one object a line (`jq -c '.[]'` does it)")


def _lines(raw: BufferedReader, uri: str, path: str) -> Iterator[Line]:
    number = 0
    reader: BufferedReader | gzip.GzipFile = raw
    start = raw.peek(2)[:2]
    if start == _GZIP_MAGIC:
        reader = gzip.GzipFile(fileobj=raw)
    elif path.endswith(".gz"):
        what = "empty" if not start else "not gzip"
        raise InputInvalid(f"{uri}, line 1: the file is named .gz but is {what}; compress it or rename it")
    try:
        while line := reader.readline(MAX_LINE_BYTES):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
                _look_at_first(line, uri)
            too_long = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
            while too_long and line and not line.endswith(b"\n"):
                line = reader.readline(MAX_LINE_BYTES)
            if too_long or line.strip():
                yield Line(path, number, None if too_long else line)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputInvalid(
            f"{uri}, after line {number}: the gzip data is damaged ({error}); fetch the file again"
        ) from error
    except EOFError as error:
        raise InputInvalid(f"{uri}, after line {number}: the gzip data ends too early; fetch the file again") from error
