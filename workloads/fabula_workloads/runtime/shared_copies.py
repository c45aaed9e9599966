"""Copies of artifacts on a volume that pods share: who uses one keeps it, one downloads while the others wait, and what
nobody uses goes, the longest unused first, where room is needed.

The locks are the kernel's (`flock`), so they end with whoever held them. A lock's file stays when its copy goes.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fabula_api.worker import ARTIFACT_CACHE_VARIABLE
from fabula_workloads.runtime.verified import CheckStop

_LOOK_SECONDS = 0.2
_KEPT, _FILLED, _GOING = ".kept", ".filled", ".going-"
_HALF = re.compile(r"\.[0-9a-f]{32}$")
"""The name of what a download that did not end leaves (`Store.download`)."""
_held: dict[Path, IO[bytes]] = {}
"""Locks of the copies that this process uses, until it ends."""


def shared_folder() -> Path | None:
    """Where pods share copies of artifacts; None where each keeps its own."""
    named = os.environ.get(ARTIFACT_CACHE_VARIABLE)
    return Path(named) if named else None


def keep(copy: Path, check_stop: CheckStop) -> None:
    """Keep a copy, which need not be there yet, from being removed as long as this process lives.

    Raises OSError where the volume cannot be written or knows no locks.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    lock = _beside(copy, _KEPT)
    if copy not in _held:
        file = lock.open("a+b")
        _take(file, fcntl.LOCK_SH, check_stop)
        _held[copy] = file
    os.utime(lock)


@contextmanager
def filling(copy: Path, check_stop: CheckStop) -> Iterator[None]:
    """One process at a time. What those before it left half done is removed first."""
    with _beside(copy, _FILLED).open("a+b") as file:
        _take(file, fcntl.LOCK_EX, check_stop)
        for half in copy.rglob(".*") if copy.exists() else ():
            if _HALF.search(half.name):
                half.unlink(missing_ok=True)
        yield


def room(folder: Path, wanted: int) -> int:
    """Bytes that are free on the volume of `folder`; where these are less than `wanted`, after copies that nobody uses
    were removed."""
    free = shutil.disk_usage(folder).free
    for copy in _longest_unused_first(folder) if free < wanted else ():
        with _beside(copy, _KEPT).open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            going = folder / f"{_GOING}{uuid.uuid4().hex}"
            with suppress(FileNotFoundError):
                copy.rename(going)
        shutil.rmtree(going, ignore_errors=True)
        free = shutil.disk_usage(folder).free
        if free >= wanted:
            break
    return free


def _longest_unused_first(folder: Path) -> list[Path]:
    for left in folder.glob(f"{_GOING}*"):
        shutil.rmtree(left, ignore_errors=True)
    used = {}
    for lock in folder.glob(f"*{_KEPT}"):
        copy = lock.with_name(lock.name.removesuffix(_KEPT))
        if copy.is_dir() and copy not in _held:
            used[copy] = lock.stat().st_mtime
    return sorted(used, key=lambda copy: used[copy])


def _beside(copy: Path, ending: str) -> Path:
    return copy.with_name(copy.name + ending)


def _take(file: IO[bytes], kind: int, check_stop: CheckStop) -> None:
    while True:
        try:
            return fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            check_stop()
            time.sleep(_LOOK_SECONDS)
