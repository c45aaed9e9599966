"""Eighty real episodes through ingest, extraction and assembly, with worker processes killed again and again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_faults import Faults
from tests.support.stage_context import stage_context

from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.store import open_store

REAL = Path(__file__).parents[3] / "shared/data/podcasts/speakerTurnData.jsonl.gz"
FAULTS = {
    "seed": 11, "throttle": 0.05, "server_error": 0.03, "fenced": 0.05, "prose": 0.05, "malformed": 0.03,
    "refusal": 0.02, "truncated": 0.03, "slow_seconds": 0.3,
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REAL.exists(), reason="the 80 real episodes are not beside this checkout"),
]


class Build:
    """One build's stages as processes."""

    def __init__(self, root: Path, bedrock: Bedrock) -> None:
        self.root = root
        root.mkdir()
        self.environment = {**os.environ, **bedrock.environment(), "FABULA_CACHE": str(root / "cache")}
        self.spec = {
            "source": {"uri": REAL.resolve().as_uri(), "licenseAccepted": True},
            "extraction": {"provider": "bedrock", "endpointUrl": bedrock.endpoint},
            "images": {"provider": "none", "require": 0},
        }

    def run(
        self, stage: str, inputs: dict[str, str] | None = None, shards: int = 1, kills: int = 0
    ) -> list[dict[str, Any]]:
        """Run a stage to its end, starting killed shards again; the termination messages."""
        dice, pending = random.Random(kills), set(range(shards))
        running: dict[int, subprocess.Popen[bytes]] = {}
        deadline = time.monotonic() + 200
        while pending:
            assert time.monotonic() < deadline, f"stage {stage} does not end"
            for shard in pending - running.keys():
                running[shard] = self._start(stage, inputs or {}, shard, shards)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running[min(running)].wait(0.1)
            if kills and dice.random() < 0.2:
                running[dice.choice(sorted(running))].send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM]))
                kills -= 1
            for shard, process in list(running.items()):
                if process.poll() is not None:
                    del running[shard]
                    # SIGTERM before the worker listens for it ends the process as any other.
                    assert process.returncode in (0, 75, -signal.SIGKILL, -signal.SIGTERM), self._log(stage, shard)
                    pending -= {shard} if process.returncode == 0 else set()
        return [json.loads((self.root / f"end-{stage}-{shard}").read_text()) for shard in range(shards)]

    def _start(self, stage: str, inputs: dict[str, str], shard: int, shards: int) -> subprocess.Popen[bytes]:
        config = stage_context(self.root, "DatasetBuild", stage, self.spec, stage, inputs, shards=shards).config
        environment = self.environment | {
            "FABULA_CONFIG": config.model_dump_json(by_alias=True, exclude_none=True),
            "JOB_COMPLETION_INDEX": str(shard),
            "FABULA_TERMINATION_LOG": str(self.root / f"end-{stage}-{shard}"),
        }
        command = [str(Path(sys.executable).with_name("fabula-worker")), stage]
        with (self.root / f"log-{stage}-{shard}").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def _log(self, stage: str, shard: int) -> str:
        return (self.root / f"log-{stage}-{shard}").read_text()[-2000:]


def built(root: Path, shards: int, kills: int) -> tuple[str, Counter[str], Bedrock]:
    """(digest of the dataset, counts of extraction, the provider) of a build."""
    with run_bedrock(Bedrock(faults=Faults(**FAULTS))) as bedrock:  # type: ignore[arg-type]
        build = Build(root, bedrock)
        ingest = build.run("ingest")[0]["artifact"]["uri"]
        counts: Counter[str] = Counter()
        for end in build.run("extract", {"ingest": ingest}, shards, kills):
            counts.update(end["counts"])
        dataset = build.run("assemble", {"ingest": ingest, "extract": f"file://{root}/extract"})[0]
    return dataset["artifact"]["digest"], counts, bedrock


def test_kills_and_shards_change_neither_dataset_nor_books(tmp_path: Path) -> None:
    digest, counts, bedrock = built(tmp_path / "calm", shards=1, kills=0)
    assert counts["cost/usd"] == pytest.approx(bedrock.bill.usd) and bedrock.bill.paid_twice() == {}
    assert sum(count for name, count in counts.items() if name.startswith("extract/")) == 80
    again, stormy, bedrock = built(tmp_path / "stormy", shards=4, kills=15)
    assert again == digest
    of_kills = ("calls/saved", "calls/lost", "cost/lostUsd")
    assert {name: count for name, count in stormy.items() if name not in of_kills} == {
        name: pytest.approx(count) for name, count in counts.items()
    }
    # What a killed worker had in flight is the one thing that may be on the bill twice, and each such call was noted.
    records = dict(Ledger(open_store(f"file://{tmp_path}/stormy/extract/calls")).items())
    twice = bedrock.bill.paid_twice()
    assert all(records[call]["lost"] >= times - 1 for call, times in twice.items())
    lost_usd = sum(record["lostUsd"] for record in records.values())
    assert counts["cost/usd"] <= bedrock.bill.usd + 1e-9 <= counts["cost/usd"] + lost_usd + 2e-9
