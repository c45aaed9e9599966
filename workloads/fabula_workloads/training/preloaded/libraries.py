"""The process that loads the training libraries while the launcher still gathers inputs, seen from the launcher."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.worker import FORK_SERVERS_VARIABLE
from fabula_workloads.training.preloaded import client


@dataclass(frozen=True, slots=True)
class Libraries:
    """Where processes are had that have the libraries loaded, or will as soon as they are."""

    path: Path
    """Of the server's socket."""

    server: subprocess.Popen[bytes] | None = None
    """None for one that others have started."""

    def command(self, name: str, module: str) -> list[str]:
        """The command that is a process of `module`; `top` shows it as `fabula-NAME`, with the rank if it has one."""
        # Neither site-packages nor what PYTHON* variables name: the client needs the standard library only.
        return [sys.executable, "-S", "-E", client.__file__, str(self.path), name, module]

    def end(self) -> int | None:
        """How the server ended, as of `Popen.returncode`; None while it serves."""
        return self.server.poll() if self.server else None


@contextlib.contextmanager
def loading(spec: FineTuneRunSpec, environment: Mapping[str, str], scratch: Path) -> Iterator[Libraries]:
    """Load them from now on. At the end every process is killed that was had from here."""
    name = f"{spec.topology.device}-{spec.lora.quantization}"
    if (folder := environment.get(FORK_SERVERS_VARIABLE)) and (running := Path(folder) / name).exists():
        yield Libraries(running)
        return
    with tempfile.TemporaryDirectory(prefix="libraries-", dir=scratch, ignore_cleanup_errors=True) as place:
        server = start(Path(place) / name, environment)
        try:
            yield Libraries(Path(place) / name, server)
        finally:
            server.kill()
            server.wait()


def start(path: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A server at `path`, whose name is `DEVICE-QUANTIZATION`, `stages` or `networks`. Requests wait from now on, also
    while it loads."""
    folder = os.open(path.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # a long path would not fit
            listener.listen()
            return subprocess.Popen(
                [
                    sys.executable, "-m", "fabula_workloads.training.preloaded.server", str(listener.fileno()),
                    path.name,
                ],
                env=dict(environment),
                pass_fds=[listener.fileno()],
                start_new_session=True,  # a Ctrl-C for the launcher is the launcher's to pass on
            )  # fmt: skip
    finally:
        os.close(folder)
