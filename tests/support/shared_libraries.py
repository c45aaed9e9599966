"""Libraries that are loaded once for all test processes side by side, and for the pods of their clusters."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

CHECKOUT = Path(__file__).parents[2]
STAGES, NETWORKS, TRAINING, QUANTIZED, PLATFORM = "stages", "networks", "cpu-none", "cpu-nf4", "platform"
_PLATFORM = """
import gc, importlib, socket, sys
for name in (
    "fabula_operator.main", "fabula_local.controlplane", "fabula_local.apiserver.__main__", "fabula_local.process_node"
):
    importlib.import_module(name)
import fabula_cli.main
for command in fabula_cli.main.LATERS:
    command.load()
from fabula_workloads.training.messages.process import die_with_parent
from fabula_workloads.training.preloaded.server import build_models, serve
build_models()
gc.collect()
gc.freeze()
die_with_parent()
serve(socket.socket(fileno=int(sys.argv[1])))
"""


class Servers:
    """A folder for `FABULA_FORK_SERVERS`, of which all processes use the same servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        # Of all servers: a pod takes the best that there is, also one that its own test has not asked for.
        self._users: IO[str] = (folder / "users").open("w")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def need(self, *kinds: str) -> Path:
        """The folder, with servers of these kinds. Who needs one first has it loaded."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FABULA_")}
        for kind in kinds:
            with (self.folder / "first").open("w") as first:
                fcntl.flock(first, fcntl.LOCK_EX)
                if not (self.folder / kind).exists():
                    # A server ends with the thread that started it.
                    assert threading.current_thread() is threading.main_thread(), f"{kind} is needed by a thread first"
                    loading = load_platform if kind == PLATFORM else load_libraries
                    self._started[kind] = loading(self.folder / kind, kept | {"OPENBLAS_NUM_THREADS": "1"})
        return self.folder

    def close(self) -> None:
        """Need none any more, and end those that it started when no test process does."""
        with self._users:
            fcntl.flock(self._users, fcntl.LOCK_UN)
            if self._started:
                fcntl.flock(self._users, fcntl.LOCK_EX)
            for kind, server in self._started.items():
                (self.folder / kind).unlink()
                server.kill()
                server.wait()


def load_libraries(path: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The product's own server, of stages or of training."""
    from fabula_workloads.training.preloaded.libraries import start

    return start(path, environment)


def load_platform(path: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A server of operator, command and the laptop's cluster. What they read when imported is of `environment`."""
    return start_server(path, _PLATFORM, environment)


def start_server(path: Path, program: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program that loads libraries and serves copies at this path. It is given the listener."""
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{descriptor}/{path.name}")  # a long path would not fit
        os.close(descriptor)
        listener.listen()
        command = [sys.executable, "-c", program, str(listener.fileno())]
        return subprocess.Popen(
            command, env=environment, pass_fds=[listener.fileno()], start_new_session=True, cwd=CHECKOUT
        )


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Servers]:
    """Servers in this folder."""
    servers = Servers(folder)
    try:
        yield servers
    finally:
        servers.close()
