"""Digest of what lies in a folder, whoever made it: of an artifact by its manifest, of any other by all its files.

On S3 an object's ETag stands for its content, with which it changes; on disk every file is hashed. A large file that
has not changed is not hashed twice by one machine, going by what only the kernel can set (`ctime`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fabula_api.artifact import digest_of
from fabula_api.uri import FILE
from fabula_workloads.runtime.artifact import read_manifest, sha256_of
from fabula_workloads.runtime.failures import InputInvalid, NotFound, from_os_error
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import local_path, split_uri

_HASHERS = 4
_WORTH_KEEPING = 8 * 1024 * 1024
_SETTLED_SECONDS = 2.0
"""A file that changed just now may change again within the same tick of the clock."""


def content_digest(uri: str, cache: Path, check_stop: Callable[[], None] = lambda: None) -> str:
    """`sha256:<hex>` of the content of a folder (an absolute URI): equal where, and only where, its files are.

    Files and folders whose names begin with a dot do not count, as downloads leave notes of their own there. Raises
    NotFound where there is no file. `check_stop` is called between files and may raise.
    """
    if (manifest := read_manifest(open_store(uri))) is not None:
        return manifest.digest
    entries = sorted(_on_disk(uri, cache, check_stop) if uri.startswith(FILE) else _on_s3(uri))
    if not entries:
        raise NotFound(uri)
    return digest_of(entries)


def file_digest(uri: str, cache: Path) -> str:
    """`sha256:<hex>` that changes with the content of one file (an absolute URI). Raises NotFound."""
    folder, name = split_uri(uri)
    if uri.startswith(FILE):
        try:
            return f"sha256:{file_sha256(local_path(uri), cache)}"
        except FileNotFoundError:
            raise NotFound(uri) from None
        except OSError as error:
            raise from_os_error(error, uri) from error
    from fabula_workloads.runtime.s3_store import S3Store

    tagged = next((entry for entry in S3Store(folder).list_tagged(name) if entry[0].path == name), None)
    if tagged is None:
        raise NotFound(uri)
    return digest_of([name, tagged[0].size, tagged[1]])


def require_content(uri: str, digest: str, given: str | None) -> None:
    """Raise InputInvalid where an input is not what it was when the run began; without `given` nothing was promised."""
    if given is not None and given != digest:
        raise InputInvalid(
            f"{uri} holds {digest}, but the run was given {given}: it has changed. Put back what was there, or start a "
            "new run",
            "InputChanged",
        )


def _counts(path: str) -> bool:
    return not any(part.startswith(".") for part in path.split("/"))


def _on_s3(uri: str) -> list[list[Any]]:
    from fabula_workloads.runtime.s3_store import S3Store

    return [[entry.path, entry.size, tag] for entry, tag in S3Store(uri).list_tagged() if _counts(entry.path)]


def _on_disk(uri: str, cache: Path, check_stop: Callable[[], None]) -> list[list[Any]]:
    base = local_path(uri)
    files = [entry.path for entry in open_store(uri).list() if _counts(entry.path)]
    with ThreadPoolExecutor(_HASHERS) as hashers:

        def hashed(path: str) -> list[Any]:
            check_stop()
            file = base / path
            try:
                return [path, file.stat().st_size, file_sha256(file, cache)]
            except OSError as error:
                raise from_os_error(error, f"{uri}/{path}") from error

        return list(hashers.map(hashed, files))


def file_sha256(file: Path, cache: Path) -> str:
    """Hex SHA-256 of a local file; a large one that was hashed before and has not changed is not read again."""
    before = os.stat(file)
    if before.st_size < _WORTH_KEEPING:
        with file.open("rb") as content:
            return sha256_of(content)
    mark = f"{before.st_dev} {before.st_ino} {before.st_size} {before.st_mtime_ns} {before.st_ctime_ns}"
    note = cache / "hashes" / hashlib.sha256(mark.encode()).hexdigest()
    try:
        return note.read_text()
    except FileNotFoundError:
        pass
    with file.open("rb") as content:
        digest = sha256_of(content)
        after = os.fstat(content.fileno())
    unchanged = (after.st_ino, after.st_size, after.st_ctime_ns) == (before.st_ino, before.st_size, before.st_ctime_ns)
    if unchanged and time.time() - before.st_ctime > _SETTLED_SECONDS:
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = note.with_name(f"{note.name}.{os.getpid()}")
        temporary.write_text(digest)
        os.replace(temporary, note)
    return digest
