"""Transcripts to dataset through real worker processes: killed, sharded and on either store, it is the same dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.worker_process import end_of, run_worker_process, start_worker, worker_config

from fabula_quickstart.prepare import episodes_gz, read_scripts
from fabula_workloads.runtime.artifact import read_manifest
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.verified import verify

SPEC: dict[str, Any] = {
    "source": {"uri": "episodes.jsonl.gz", "licenseAccepted": True},
    "extraction": {"provider": "rules", "words": {"min": 120, "max": 260}, "maxExcerpts": 2},
    "images": {"provider": "none"},
}


def build(tmp: Path, root: str, shards: int, kill: bool = False) -> tuple[str, str]:
    """Run ingest, extract and assemble below `root`; returns (uri, digest) of the dataset."""
    open_store(root).write("episodes.jsonl.gz", episodes_gz(read_scripts()))
    ingested = run_worker_process(tmp, worker_config(root, "ingest", SPEC))
    assert ingested.code == 0, ingested.output
    inputs = [{"name": "ingest", **ingested.result["artifact"]}]
    config = worker_config(root, "extract", SPEC, inputs=inputs, shards=shards)
    if kill:
        process = start_worker(tmp, config)
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        process.kill()
        end_of(process, tmp)
    counts = 0.0
    for shard in range(shards):
        ended = run_worker_process(tmp, config, shard=shard)
        assert ended.code == 0, ended.output
        counts += ended.result["counts"]["extract/ok"]
    assert counts == len(read_scripts())
    inputs.append({"name": "extract", "uri": f"{root}/out/extract", "digest": config["key"]})
    ended = run_worker_process(tmp, worker_config(root, "assemble", SPEC, inputs=inputs))
    assert ended.code == 0, ended.output
    again = run_worker_process(tmp, worker_config(root, "assemble", SPEC, inputs=inputs))
    assert again.result == ended.result | {"reused": True}
    artifact = ended.result["artifact"]
    return artifact["uri"], artifact["digest"]


@pytest.mark.slow
def test_one_dataset_from_any_store_and_any_number_of_shards(store_uri: str, tmp_path: Path) -> None:
    uri, digest = build(tmp_path, store_uri, shards=2)
    store = open_store(uri)
    manifest = read_manifest(store)
    assert manifest is not None
    verify(store, manifest, tmp_path)
    undisturbed, whole = tmp_path / "undisturbed", f"{tmp_path.as_uri()}/undisturbed-root"
    undisturbed.mkdir()
    assert build(undisturbed, whole, shards=1, kill=True)[1] == digest
    splits = manifest.details["splits"]
    assert splits["train"] > splits["validation"] > 0
    first = json.loads(store.read("train.jsonl").splitlines()[0])
    assert first["response"].startswith("Speaker 1: ")
