"""`fabula` as copies of a process that has it loaded, each with words, streams and environment of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.shared_libraries import load_platform

from fabula_workloads.training.preloaded import client


@contextlib.contextmanager
def forked_command(folder: Path, environment: Mapping[str, str]) -> Iterator[list[str]]:
    """The words before a command's own. What it reads when it is imported, it reads of `environment`."""
    path = folder / "fabula"
    server = load_platform(path, environment)
    try:
        yield [sys.executable, "-S", "-E", client.__file__, str(path), "command", "fabula_cli.main"]
    finally:
        server.kill()
        server.wait()
