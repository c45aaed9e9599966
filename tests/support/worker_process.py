"""A `fabula-worker` process as a pod would run it, and its termination message."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import copies
from tests.support.in_blocks import in_blocks
from tests.support.patience import SECONDS
from tests.support.stage_context import KEY


def worker_config(root: Path | str, stage: str, spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A DatasetBuild worker's config; `root` is a folder or a URI, `output` the stage's name."""
    config = {
        "run": {"kind": "DatasetBuild", "namespace": "default", "name": "trial", "uid": "1"},
        "stage": stage,
        "root": root.as_uri() if isinstance(root, Path) else root,
        "output": f"out/{stage}",
        "key": KEY,
        "spec": in_blocks("DatasetBuild", spec),
    }
    return {**config, **fields}


@dataclass
class Ended:
    """How a worker ended."""

    code: int
    result: dict[str, Any]
    output: str


def worker_environment(tmp: Path, config: dict[str, Any] | str, shard: int = 0) -> dict[str, str]:
    """A pod's environment; the termination message goes to `termination.json` in `tmp`."""
    return {
        **os.environ,
        "FABULA_CONFIG": config if isinstance(config, str) else json.dumps(config),
        "FABULA_TERMINATION_LOG": str(tmp / "termination.json"),
        "FABULA_CACHE": str(tmp / "cache"),
        "JOB_COMPLETION_INDEX": str(shard),
    }


def start_worker(
    tmp: Path,
    config: dict[str, Any] | str,
    *,
    stage: str | None = None,
    shard: int = 0,
    script: str | None = None,
    anew: bool = False,
) -> copies.Process:
    """Start a worker. `script` runs in its place: Python that may call `run_worker` with a stage of its own.

    It is a copy of a process that has stages loaded, or loads its own where that is what is tried: `anew`.
    """
    name = stage or (config["stage"] if isinstance(config, dict) else "ingest")
    words = (copies.SCRIPT, script) if script else ("fabula_workloads.cli", name)
    return copies.start(*words, environment=worker_environment(tmp, config, shard), anew=anew)


def end_of(process: copies.Process, tmp: Path) -> Ended:
    """Wait for a worker's end."""
    output, _ = process.communicate(timeout=SECONDS)
    message = tmp / "termination.json"
    return Ended(process.returncode, json.loads(message.read_text()) if message.exists() else {}, output)


def run_worker_process(tmp: Path, config: dict[str, Any] | str, **options: Any) -> Ended:
    """Run a worker to its end."""
    (tmp / "termination.json").unlink(missing_ok=True)
    return end_of(start_worker(tmp, config, **options), tmp)
