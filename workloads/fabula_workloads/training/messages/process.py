"""Processes that do not outlive the one that started them, even when that is killed without a word."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "FABULA_PARENT_PID"
"""Environment variable with the process id of whoever started a process that is to die with it."""
UNMET = "unmet"
"""Key in an agent's verdict of why the nodes never met; else it maps ranks to their ends."""
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux); end at once when it is gone already."""
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # The parent may have died while this process was still starting; then no signal will come.
    parent = os.environ.get(PARENT_VARIABLE)
    if parent and os.getppid() != int(parent):
        os._exit(1)
