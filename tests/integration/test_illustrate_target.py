"""Pictures for a target: those of the samples that make it, and of others only where one of those cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.podcast import assemble
from fabula_workloads.recipes.podcast.illustration.paid import illustrate_paid
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store

TARGET, SCENES, EXCERPTS = 20, 1, 30


class Build:
    """Excerpts of one scene each; the third says what the one before it says."""

    def __init__(self, root: Path, bedrock: Bedrock) -> None:
        self.root, self.bedrock = root, bedrock
        ingest = open_store(f"file://{root}/ingest")
        commit(
            ingest, kind="episodes", parts=[add_part(ingest, "episodes.jsonl", b"")], counts={"episode/ok": EXCERPTS}
        )
        ledger = Ledger(open_store(f"file://{root}/extract"))
        for number in range(EXCERPTS):
            about = number - 1 if number == 2 else number
            text = "Speaker 1: " + " ".join(f"word{about}-{word}" for word in range(50))
            scenes = [{"index": scene, "prompt": f"a boat {number} at pier {scene}"} for scene in range(1, SCENES + 1)]
            excerpt = {"index": 0, "text": text, "words": 52, "scenes": scenes}
            ledger.put(f"{number:016x}", {"outcome": "ok", "podcast": f"show{number % 3}", "excerpts": [excerpt]})

    def context(self, stage: str, output: str, inputs: dict[str, str], **changes: Any) -> StageContext:
        images = {"provider": "bedrock", "endpointUrl": self.bedrock.endpoint, "perSample": SCENES}
        target = {"samples": changes.pop("target", TARGET)}
        spec = {"source": {"uri": "s"}, "images": images | {"concurrency": changes.pop("concurrency", 4)}}
        return stage_context(self.root, "DatasetBuild", stage, spec | {"target": target}, output, inputs, **changes)

    def draw(self, output: str, shards: int, **changes: Any) -> list[dict[str, float]]:
        """Counts of all shards, which work at the same time."""
        inputs = {"extract": "extract", "ingest": "ingest"}
        contexts = [
            self.context("illustrate", output, inputs, shard=shard, shards=shards, **changes) for shard in range(shards)
        ]
        with ThreadPoolExecutor(shards) as threads:
            clock = self.bedrock.clock
            return [one.counts for one in threads.map(lambda each: illustrate_paid(each, clock), contexts)]  # type: ignore[arg-type]

    def drawn(self, output: str) -> dict[str, str]:
        ledger = Ledger(open_store(f"file://{self.root}/{output}"))
        return {key: outcome["outcome"] for key, outcome in ledger.items()}

    def assemble(self, output: str) -> tuple[str, dict[str, float]]:
        inputs = {"ingest": "ingest", "extract": "extract", "illustrate": output}
        result = assemble.run(self.context("assemble", f"data-{output}", inputs))
        assert result.artifact is not None
        return result.artifact.digest, result.counts


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        yield Build(tmp_path, bedrock)


def keys(numbers: list[int]) -> set[str]:
    return {f"{number:016x}-0-{scene}" for number in numbers for scene in range(1, SCENES + 1)}


def test_no_picture_is_drawn_that_the_dataset_cannot_use(build: Build) -> None:
    counts = build.draw("calm", 2)
    assert set(build.drawn("calm")) == keys([0, 1, *range(3, 21)]), "without the doubled one, and none of the margin"
    assert sum(one["calls/paid"] for one in counts) == len(build.bedrock.bill.paid) == TARGET * SCENES
    assert build.assemble("calm")[1] == {
        "sample/ok": TARGET, "pictures/1": TARGET, "sample/skipped/NearDuplicate": 1, "sample/skipped/TargetReached": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("shards", "concurrency"), [(1, 8), (3, 2)])
def test_a_picture_that_cannot_be_had_is_made_up_for(build: Build, shards: int, concurrency: int) -> None:
    build.bedrock.faults = Faults(seed=7, filtered_image=0.2)
    build.draw("whole", 1, target=1000)
    outcomes, complete, expected = build.drawn("whole"), 0, list[int]()
    for number in [0, 1, *range(3, EXCERPTS)]:
        if complete < TARGET:
            expected.append(number)
            complete += all(outcomes[key] == "ok" for key in keys([number]))
    assert len(expected) > complete == TARGET, "one of them is filtered"
    before, name = len(build.bedrock.bill.paid), f"by-{shards}-{concurrency}"
    build.draw(name, shards, concurrency=concurrency)
    assert build.drawn(name) == {key: outcomes[key] for key in keys(expected)}
    assert len(build.bedrock.bill.paid) - before <= 2 * len(keys(expected)), "with the second seed of a filtered one"
    whole, counts = build.assemble(name)
    assert counts["sample/ok"] == TARGET
    assert whole == build.assemble("whole")[0]
