"""Batches come from the loader's workers in a pod whose temporary folder has a long path, as on a laptop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import multiprocessing, os, threading
from multiprocessing import resource_sharer
from multiprocessing.connection import Listener
from fabula_workloads.training.rank.sockets import keep_socket_paths_short

def send(queue):
    # As torch's workers send a tensor: its memory's descriptor, by way of a socket of multiprocessing.
    reading, writing = os.pipe()
    os.write(writing, b"batch")
    queue.put(resource_sharer.DupFd(reading))
    threading.Event().wait()

try:
    Listener()
except OSError as error:
    print(error)
keep_socket_paths_short()
context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
context.Process(target=send, args=(queue,), daemon=True).start()
print(os.read(queue.get().detach(), 5).decode())
"""


def test_a_worker_hands_over_what_it_has_read(tmp_path: Path) -> None:
    scratch = tmp_path / ("x" * 100)
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"TMPDIR": str(scratch)},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["AF_UNIX path too long", "batch"], done.stderr
