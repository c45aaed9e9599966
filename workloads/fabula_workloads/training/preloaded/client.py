"""Stands in for a process that a fork server is asked for: `python -S -E client.py SOCKET NAME MODULE ARGUMENTS...`.

Whoever starts it, torchrun for one, sees one process with an exit code and a log. It loads nothing but the standard
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
from typing import NoReturn

STATUS = struct.Struct("!i")
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
    """Ask for the process, and end as it ends: with its exit code, or by its signal. When this one dies, so does it."""
    die_with_parent()
    path, name, module, *arguments = sys.argv[1:]
    if rank := os.environ.get("RANK"):
        name = f"{name}-{rank}"
    wanted = {"name": name, "module": module, "arguments": arguments, "folder": os.getcwd()}
    request = json.dumps(wanted | {"environment": dict(os.environ)}).encode()
    try:
        connection = connect(path)
        socket.send_fds(connection, [LENGTH.pack(len(request))], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(STATUS.size, socket.MSG_WAITALL)
    except OSError as error:
        sys.exit(f"the process that loads the libraries of {module} cannot be asked for it: {error}")
    if len(answer) < STATUS.size:
        sys.exit(f"the process that loads the libraries of {module} has ended")
    (status,) = STATUS.unpack(answer)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    os._exit(1)  # not reached: nobody lives on after a signal that ended the other


if __name__ == "__main__":
    main()
