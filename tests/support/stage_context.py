"""A stage's context over a folder, as a pod would have it, without a status server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.support.in_blocks import in_blocks

from fabula_api.worker import WorkerConfig
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.progress import Reporter

KEY = "sha256:" + "0" * 64


def stage_context(
    root: Path,
    kind: str,
    stage: str,
    spec: dict[str, Any],
    output: str,
    inputs: dict[str, str] | None = None,
    *,
    shard: int = 0,
    shards: int = 1,
    arm: str | None = None,
    digests: dict[str, str] | None = None,
) -> StageContext:
    """Context of one stage; `inputs` maps names to folders below `root`, `digests` names to what they were."""
    known = digests or {}
    places = dict.fromkeys(known, "elsewhere") | (inputs or {})
    given = [{"name": name, "uri": uri, "digest": known.get(name, f"uri:{uri}")} for name, uri in places.items()]
    config = WorkerConfig.model_validate(
        {
            "run": {"kind": kind, "namespace": "default", "name": "trial", "uid": "1"},
            "stage": stage, "arm": arm, "shards": shards, "root": f"file://{root}", "output": output, "key": KEY,
            "inputs": given, "spec": in_blocks(kind, spec),
        }
    )  # fmt: skip
    cache = root / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    store = open_store(f"file://{root}/{output}")
    return StageContext(config, shard, store, Reporter(config, shard), threading.Event(), cache)
