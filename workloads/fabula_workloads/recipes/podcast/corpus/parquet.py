"""SPoRC's Parquet files as records: one row group at a time, from a folder on disk or on S3, never all in memory.

Both published layouts are read: a folder `podcast_id=...` for each show, and large parts with one row group a show.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fabula_api.artifact import digest_of
from fabula_workloads.recipes.podcast.corpus.source import Line
from fabula_workloads.runtime.artifact import sha256_of
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, split_uri

_SUFFIX = ".parquet"
_TURN_TREE, _EPISODE_TREE = "turns", "episodes"
_OTHER_TREES = frozenset({"metadata", "metrics", "acoustics"})
_PARTITION = re.compile(r"(?:^|/)podcast_id=([^/]+)/")
_TEXTS = {"turn_text": "turnText", "turnText": "turnText", "transcript": "transcript"}
_ROWS = 1024


class ParquetSource:
    """The Parquet files that hold turns, or, where there are none, those that hold whole transcripts."""

    def __init__(self, uri: str, scratch: Path) -> None:
        """`scratch` holds one part at a time of a source on S3. Raises NotFound, or InputInvalid without such files."""
        self.uri = uri
        self._scratch = scratch
        folder, name = split_uri(uri)
        parent = open_store(folder)
        self._store: Store
        if name.endswith(_SUFFIX) and parent.exists(name):
            self._store, self.files = parent, [name]
            return
        self._store = open_store(uri)
        paths = sorted(entry.path for entry in self._store.list())
        if not paths:
            raise NotFound(uri, "podcast.source.uri must name a Parquet file or a folder of them")
        self.files = chosen([path for path in paths if path.endswith(_SUFFIX)])
        if not self.files:
            raise InputInvalid(f"{uri} holds {len(paths)} files, but no {_SUFFIX} file with turns or transcripts")

    def digest(self) -> str:
        """Digest of the content of all files that are read."""
        hashes = []
        for path in self.files:
            with self._store.open(path) as file:
                hashes.append([path, sha256_of(file)])
        return digest_of(hashes)

    def lines(self) -> Iterator[Line]:
        """All rows, numbered from 1 in each file. Raises InputInvalid, with file and reason, where one is damaged."""
        for path in self.files:
            with self._local(path) as file:
                yield from _rows(file, path, f"{self._store.uri}/{path}")

    @contextmanager
    def _local(self, path: str) -> Iterator[IO[bytes]]:
        """The file, open and seekable: a Parquet file is read from its end."""
        with self._store.open(path) as stream:
            if stream.seekable():
                yield stream
                return
        with tempfile.TemporaryDirectory(prefix="part-", dir=self._scratch) as folder:
            part = Path(folder) / "part.parquet"
            self._store.download(path, part)
            with part.open("rb") as file:
                yield file


def chosen(paths: list[str]) -> list[str]:
    """Of a corpus' files those with turns, else those with transcripts, else all of them."""
    for tree in (_TURN_TREE, _EPISODE_TREE):
        inside = [path for path in paths if tree in (folders := path.split("/")[:-1]) and not _OTHER_TREES & {*folders}]
        if inside:
            return inside
    return [path for path in paths if not _OTHER_TREES & {*path.split("/")[:-1]}]


def _rows(file: IO[bytes], path: str, uri: str) -> Iterator[Line]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigInvalid(
            "podcast.source.format sporc-parquet needs pyarrow in the worker's image: "
            "install fabula with the extra `parquet`"
        ) from error
    partition = _PARTITION.search(path)
    extra = {"podcast_id": partition.group(1)} if partition else {}
    number = 0
    try:
        table = pyarrow.parquet.ParquetFile(file)
        names = set(table.schema_arrow.names)
        texts = [name for name in _TEXTS if name in names]
        if not texts:
            raise InputInvalid(f"{uri} has no column turn_text or transcript; it has {', '.join(sorted(names)[:12])}")
        wanted = ["episode_id", "podcast_id", "mp3url", "mp3_url", "speaker", "turn_count", "start_time", texts[0]]
        columns = [name for name in wanted if name in names]
        for group in range(table.num_row_groups):
            for batch in table.iter_batches(_ROWS, row_groups=[group], columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield Line(path, number, b"", record_of(row, texts[0]) | extra)
    except (pyarrow.ArrowException, OSError) as error:
        what = f"{type(error).__name__} after row {number}"
        raise InputInvalid(f"{uri} cannot be read as Parquet ({what}); fetch the file again") from error


def record_of(row: dict[str, Any], text: str) -> dict[str, Any]:
    """A row in the fields of the legacy records."""
    record = {key: value for key, value in row.items() if value is not None and key != text}
    return record | {_TEXTS[text]: row[text]}
