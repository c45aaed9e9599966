"""Where multiprocessing keeps the sockets through which the loader's workers hand over batches."""

from __future__ import annotations

import os
from multiprocessing import process, util

LONGEST = 107 - len("/listener-12345678")
"""Bytes of a folder whose sockets the kernel can still name: their whole path has 107 (unix(7))."""


def keep_socket_paths_short() -> None:
    """Let the folder have a short name where its own is too long, as in a pod of a laptop's cluster.

    A worker that cannot bind its socket says so in its log alone, and the rank would wait for its batch for ever.
    """
    folder = util.get_temp_dir()
    if len(os.fsencode(folder)) > LONGEST:
        # The same folder, by this process's own descriptor; what is forked later inherits the name.
        held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        process.current_process()._config["tempdir"] = f"/proc/{os.getpid()}/fd/{held}"  # type: ignore[attr-defined]
