"""A local folder with an artifact, verified: its own where that is on disk, else a download.

Pods that share a volume download an artifact to it once, under its digest (`shared_copies`); each verifies what it
takes.
"""

from __future__ import annotations

import errno
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fabula_api.artifact import Manifest, Part
from fabula_api.uri import FILE
from fabula_workloads.runtime.content import file_sha256
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.shared_copies import filling, keep, room, shared_folder
from fabula_workloads.runtime.store import Store, local_path
from fabula_workloads.runtime.verified import ALTERED, CheckStop, is_picture, require_hash, verify

_READERS = 8
_log = logging.getLogger("fabula.artifacts")


def fetched(
    store: Store,
    manifest: Manifest,
    cache: Path,
    check_stop: CheckStop = lambda: None,
    *,
    but_pictures: bool = False,
) -> Path:
    """A local folder with the parts of an artifact, verified: its own where that is on disk, else a download, which
    lies where pods share copies, if they do.

    With `but_pictures` these may be missing or damaged.
    """
    if store.uri.startswith(FILE):
        verify(store, manifest, cache, check_stop, but_pictures=but_pictures)
        return local_path(store.uri)
    wanted = _Wanted(store, manifest, cache, check_stop, but_pictures)
    name = manifest.digest.removeprefix("sha256:")
    if (shared := shared_folder()) is not None:
        try:
            return _shared_copy(wanted, shared / name)
        except OSError as error:
            _log.warning(
                "the volume for copies of artifacts cannot be used (%s), so this pod fetches its own", error.strerror
            )
    return _download(wanted, cache / "artifacts" / name)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An artifact that somebody wants a copy of."""

    store: Store
    manifest: Manifest
    cache: Path
    check_stop: CheckStop
    but_pictures: bool

    def spared(self, part: Part) -> bool:
        """Whether the part may be missing or damaged."""
        return self.but_pictures and is_picture(part)


def _shared_copy(wanted: _Wanted, copy: Path) -> Path:
    """The copy that pods share, filled by one of them; one that was damaged since is mended. Raises OSError."""
    keep(copy, wanted.check_stop)
    if _missing(wanted, copy):
        with filling(copy, wanted.check_stop):
            missing = _missing(wanted, copy)
            if room(copy.parent, missing) < missing:
                raise OSError(errno.ENOSPC, f"{missing / 1e9:.1f} GB do not fit there")
            return _download(wanted, copy)
    try:
        verify(
            open_store(copy.as_uri()), wanted.manifest, wanted.cache, wanted.check_stop,
            but_pictures=wanted.but_pictures,
        )  # fmt: skip
    except InputInvalid as error:
        if error.reason != ALTERED:
            raise
        _log.warning("the copy that pods share was damaged, and is mended: %s", error.message)
        with filling(copy, wanted.check_stop):
            _download(wanted, copy)
    return copy


def _missing(wanted: _Wanted, copy: Path) -> int:
    """Bytes of the parts that are not there in their size."""
    there = {entry.path: entry.size for entry in open_store(copy.as_uri()).list()}
    return sum(part.size for part in wanted.manifest.parts if there.get(part.path) != part.size)


def _download(wanted: _Wanted, folder: Path) -> Path:
    """Fetch what is not there as it should be."""
    store = wanted.store

    def fetch(part: Part) -> None:
        wanted.check_stop()
        local = folder / part.path
        if local.exists() and (wanted.spared(part) or file_sha256(local, wanted.cache) == part.sha256):
            return
        try:
            store.download(part.path, local)
            if not wanted.spared(part):
                require_hash(f"{store.uri}/{part.path}", part, file_sha256(local, wanted.cache))
        except InputInvalid:
            local.unlink(missing_ok=True)
            if not wanted.spared(part):
                raise

    with ThreadPoolExecutor(_READERS) as readers:
        for _ in readers.map(fetch, wanted.manifest.parts):
            pass
    return folder
