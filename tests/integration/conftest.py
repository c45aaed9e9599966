"""What several files of training runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabula_workloads.training.preloaded.libraries import start


@pytest.fixture(scope="session")
def training_libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The libraries of training, loaded once for all runs of this process that are given it.

    Each run loads them anew where a test says so, and in all journeys through the operator.
    """
    folder = tmp_path_factory.mktemp("libraries")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FABULA_")}
    servers = [start(folder / name, environment | {"OPENBLAS_NUM_THREADS": "1"}) for name in ("cpu-none", "cpu-nf4")]
    yield folder
    for server in servers:
        server.kill()
        server.wait()
