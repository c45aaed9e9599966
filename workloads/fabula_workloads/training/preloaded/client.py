"""Stands in for a process that a fork server is asked for: `python -S -E client.py SOCKET NAME MODULE ARGUMENTS...`.

Whoever starts it, torchrun or a node, sees one process with an exit code and a log. It loads nothing but the standard
library, so that it costs no time, and the server does the rest (`server.py`).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import NoReturn

NUMBER = struct.Struct("!i")
LENGTH = struct.Struct("!I")


def die_with_parent() -> None:
    """As in `messages/process.py`, from which nothing can be imported here."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    parent = os.environ.get("FABULA_PARENT_PID")
    if parent and os.getppid() != int(parent):
        os._exit(1)


def connect(path: str) -> socket.socket:
    """A connection to the server. The way over the folder's descriptor keeps any path below a socket's 107 bytes."""
    folder = os.open(os.path.dirname(path), os.O_PATH)
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        return connection
    finally:
        os.close(folder)


def main() -> NoReturn:
    """Ask for the process that the command line names. When the parent dies, so does this, and with it the process."""
    die_with_parent()
    path, name, module, *arguments = sys.argv[1:]
    if rank := os.environ.get("RANK"):
        name = f"{name}-{rank}"
    stand_in(path, name, module, arguments)


def stand_in(
    path: str, name: str, module: str, arguments: Sequence[str], *, passing_on: Iterable[signal.Signals] = ()
) -> NoReturn:
    """Ask for the process, and end as it ends: with its exit code, or by its signal. When this one dies, so does it.

    The signals `passing_on` are the process's to answer. Any other ends this one, and with it the process.
    """
    wanted = {"name": name, "module": module, "arguments": list(arguments), "folder": os.getcwd()}
    request = json.dumps(wanted | {"environment": dict(os.environ)}).encode()
    signal.pthread_sigmask(signal.SIG_BLOCK, passing_on)  # until it is known whom they are for
    try:
        connection = connect(path)
        socket.send_fds(connection, [LENGTH.pack(len(request))], [0, 1, 2])
        connection.sendall(request)
        process = _receive(connection, module)

        def pass_on(number: int, frame: FrameType | None) -> None:
            try:  # noqa: SIM105 - contextlib would be half of what this process loads
                os.kill(process, number)
            except ProcessLookupError:
                pass  # Its code is on the way.

        for number in passing_on:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, passing_on)
        status = _receive(connection, module)
    except OSError as error:
        sys.exit(f"the process that loads the libraries of {module} cannot be asked for it: {error}")
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    os._exit(1)  # not reached: nobody lives on after a signal that ended the other


def _receive(connection: socket.socket, module: str) -> int:
    answer = connection.recv(NUMBER.size, socket.MSG_WAITALL)
    if len(answer) < NUMBER.size:
        sys.exit(f"the process that loads the libraries of {module} has ended")
    (number,) = NUMBER.unpack(answer)
    return int(number)


if __name__ == "__main__":
    main()
