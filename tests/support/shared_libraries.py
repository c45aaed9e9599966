"""Training libraries that are loaded once for all test processes side by side, and for the pods of their clusters."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

KINDS = ("cpu-none", "cpu-nf4")


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Path]:
    """A folder for `FABULA_FORK_SERVERS`. Who comes first loads them, and at its own end waits for the others' ends."""
    from fabula_workloads.training.preloaded.libraries import start

    folder.mkdir(exist_ok=True)
    with (folder / "users").open("w") as users, (folder / "first").open("w") as first:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(first, fcntl.LOCK_EX)
        servers = []
        if not (folder / KINDS[0]).exists():
            kept = {name: value for name, value in os.environ.items() if not name.startswith("FABULA_")}
            servers = [start(folder / kind, kept | {"OPENBLAS_NUM_THREADS": "1"}) for kind in KINDS]
        fcntl.flock(first, fcntl.LOCK_UN)
        try:
            yield folder
        finally:
            if servers:
                fcntl.flock(users, fcntl.LOCK_EX)
                for kind, server in zip(KINDS, servers, strict=True):
                    (folder / kind).unlink()
                    server.kill()
                    server.wait()
