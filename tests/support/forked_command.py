"""`fabula` as copies of a process that has it loaded, each with words, streams and environment of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from fabula_workloads.training.preloaded import client

SERVER = """
import socket, sys, fabula_cli.main
for command in fabula_cli.main.LATERS:
    command.load()
from fabula_workloads.training.messages.process import die_with_parent
from fabula_workloads.training.preloaded.server import serve
die_with_parent()
serve(socket.socket(fileno=int(sys.argv[1])))
"""


@contextlib.contextmanager
def forked_command(folder: Path, environment: Mapping[str, str]) -> Iterator[list[str]]:
    """The words before a command's own. What it reads when it is imported, it reads of `environment`."""
    path = folder / "fabula"
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(folder, os.O_PATH)
        listener.bind(f"/proc/self/fd/{descriptor}/fabula")  # a long path would not fit
        os.close(descriptor)
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listener.fileno())], env=environment, pass_fds=[listener.fileno()]
        )
    try:
        yield [sys.executable, "-S", "-E", client.__file__, str(path), "command", "fabula_cli.main"]
    finally:
        server.kill()
        server.wait()
