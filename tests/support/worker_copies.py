"""Test processes of pytest-xdist as copies of one that has loaded what tests import, so that each need not load it.

Torch, transformers, kopf and their like are two thirds of what a test process does before its first test. What pytest
rewrites, the tests themselves and its plugins, each still imports by itself.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import importlib
import os
import re
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support.shared_libraries import CHECKOUT, start_server

_LOADED = "from tests.support.worker_copies import serve_copies; serve_copies()"
_STAND_IN = """
import signal, sys
sys.path.insert(0, sys.argv[1])
import client
client.die_with_parent()
client.stand_in(sys.argv[2], "xdist", sys.argv[3], (), passing_on=(signal.SIGINT,))
"""
_IMPORT = re.compile(r"^(?:import|from) ([\w.]+)(?: import ([\w, ]+)$)?", re.MULTILINE)
_NOT = ("tests", "test_", "conftest", "pytest", "_pytest", "hypothesis", "__future__", "datasets")
"""What pytest rewrites or wants to import first, and `datasets`, which few need."""


def copied_workers(specs: Iterable[Any]) -> Callable[[], None]:
    """Let each local process that xdist is about to start be a copy. What is returned ends what they are copies of."""
    from fabula_workloads.training.preloaded import client

    folder = Path(tempfile.mkdtemp(prefix="fabula-tests-"))
    server = start_server(folder / "tests", _LOADED, os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    beside = str(Path(client.__file__).parent)
    command = [sys.executable, "-S", "-E", "-c", _STAND_IN, beside, str(folder / "tests"), __name__]
    for spec in specs:
        if spec.popen and not spec.python:
            spec.python = shlex.join(command)

    def end() -> None:
        server.kill()
        server.wait()
        shutil.rmtree(folder)

    return end


def serve_copies() -> None:
    """The process that test processes are copies of."""
    from fabula_workloads.training.messages.process import die_with_parent
    from fabula_workloads.training.preloaded.server import serve

    sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "charts")]
    load()
    gc.collect()
    gc.freeze()  # or the copies would write to what they share at their first collection
    die_with_parent()
    serve(socket.socket(fileno=int(sys.argv[1])))


def load() -> None:
    """Import what test files import first of all, and make what validates models, and the CRDs.

    Whoever needs what cannot be imported is told by its own import.
    """
    from fabula_api.crd import crds
    from fabula_workloads.training.preloaded.server import build_models

    files = [file.read_text() for file in (CHECKOUT / "tests").rglob("*.py")]
    imports = {line for text in files for line in _IMPORT.findall(text) if not line[0].startswith(_NOT)}
    for module, names in sorted(imports):
        with contextlib.suppress(Exception):
            imported = importlib.import_module(module)
            for name in names.split(", ") if names else ():
                if not hasattr(imported, name := name.partition(" as ")[0]):
                    importlib.import_module(f"{module}.{name}")
    build_models()
    crds()


def main() -> None:
    """In the copy: what execnet has a new interpreter do with `-c`."""
    exec(ast.literal_eval(sys.stdin.readline()), {"__name__": "__main__"})  # its own next program, from its own pipe
    atexit._run_exitfuncs()
