"""Tests run side by side and kill processes: each finds its own, and none of its neighbour's that are alike."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import Product
from tests.e2e.test_chaos import processes
from tests.support.training_processes import training


@contextmanager
def worker(home: Path, stage: str) -> Iterator[int]:
    """A process with the command line and the config of a worker of the same run, below another folder."""
    config = {"stage": stage, "attempt": 1, "root": (home / "artifacts").as_uri()}
    run = {"kind": "FineTuneRun", "namespace": "storm", "name": "tiny"}
    environment = os.environ | {"FABULA_CONFIG": json.dumps(config | {"run": run}, separators=(",", ":"))}
    command = [f"fabula-worker {stage}", "-c", "read line"]
    process = subprocess.Popen(command, executable="/bin/sh", stdin=subprocess.PIPE, env=environment)
    try:
        yield process.pid
    finally:
        process.communicate(b"\n")


@pytest.mark.parametrize("stage", ["train", "illustrate", "infer"])
def test_a_test_finds_its_own_workers_only(tmp_path: Path, stage: str) -> None:
    homes = [tmp_path / "ours", tmp_path / "theirs"]
    with ExitStack() as running:
        pids = [running.enter_context(worker(home, stage)) for home in homes]
        for home, pid in zip(homes, pids, strict=True):
            assert processes(Product(home, None, "default"), f'"stage":"{stage}"') == [pid]
            found = [one.pid for one in training(home / "artifacts", "storm", "tiny")]
            assert found == ([pid] if stage == "train" else [])
