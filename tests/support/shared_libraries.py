"""Libraries that are loaded once for all test processes side by side, and for the pods of their clusters."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

STAGES, TRAINING, QUANTIZED = "stages", "cpu-none", "cpu-nf4"


class Servers:
    """A folder for `FABULA_FORK_SERVERS`, of which all processes use the same servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._users: dict[str, IO[str]] = {}
        self._own: dict[str, subprocess.Popen[bytes]] = {}

    def need(self, *kinds: str) -> Path:
        """The folder, with servers of these kinds. Who needs one first has it loaded."""
        from fabula_workloads.training.preloaded.libraries import start

        kept = {name: value for name, value in os.environ.items() if not name.startswith("FABULA_")}
        for kind in kinds:
            if kind in self._users:
                continue
            self._users[kind] = (self.folder / f"{kind}.users").open("w")
            fcntl.flock(self._users[kind], fcntl.LOCK_SH)
            with (self.folder / "first").open("w") as first:
                fcntl.flock(first, fcntl.LOCK_EX)
                if not (self.folder / kind).exists():
                    self._own[kind] = start(self.folder / kind, kept | {"OPENBLAS_NUM_THREADS": "1"})
        return self.folder

    def close(self) -> None:
        """Need none any more, and end the own ones when nobody does."""
        for users in self._users.values():
            fcntl.flock(users, fcntl.LOCK_UN)
        for kind, server in self._own.items():
            fcntl.flock(self._users[kind], fcntl.LOCK_EX)
            (self.folder / kind).unlink()
            server.kill()
            server.wait()
        for users in self._users.values():
            users.close()


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Servers]:
    """Servers in this folder."""
    servers = Servers(folder)
    try:
        yield servers
    finally:
        servers.close()
