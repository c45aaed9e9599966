"""A target through extraction and assembly: the same episodes and the same dataset from any shards, nothing in vain."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.episodes_artifact import episode, write_episodes
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.podcast import assemble, extract
from fabula_workloads.runtime.ledger import Ledger

EPISODES, WANTED = 24, 17


class Build:
    """Extraction and assembly of some episodes of different yields, without pictures."""

    def __init__(self, root: Path, bedrock: Bedrock) -> None:
        self.root, self.bedrock = root, bedrock
        dice = random.Random(3)
        write_episodes(root, [episode(number, turns=dice.choice((4, 20, 40, 60))) for number in range(EPISODES)])

    def context(self, stage: str, output: str, inputs: dict[str, str], shard: int = 0, **changes: Any) -> Any:
        asked = {"provider": "bedrock", "endpointUrl": self.bedrock.endpoint, "words": {"min": 100, "max": 260}}
        spec = {
            "source": {"uri": "x", "licenseAccepted": True},
            "extraction": asked | {"maxTokens": 4096, "maxExcerpts": 6, "concurrency": changes.pop("concurrency", 4)},
            "images": {"provider": "none"}, "target": {"samples": changes.pop("target", WANTED)},
        }  # fmt: skip
        return stage_context(self.root, "DatasetBuild", stage, spec, output, inputs, shard=shard, **changes)

    def extract(self, output: str, shards: int, **changes: Any) -> list[dict[str, float]]:
        """Counts of all shards, which work at the same time."""
        contexts = [
            self.context("extract", output, {"ingest": "ingest"}, shard, shards=shards, **changes)
            for shard in range(shards)
        ]
        with ThreadPoolExecutor(shards) as threads:
            return [one.counts for one in threads.map(lambda each: extract.run(each, self.bedrock.clock), contexts)]

    def outcomes(self, output: str) -> dict[str, dict[str, Any]]:
        return dict(Ledger(self.context("extract", output, {}).store).items())

    def assemble(self, output: str) -> tuple[str, dict[str, float]]:
        inputs = {"ingest": "ingest", "extract": output}
        result = assemble.run(self.context("assemble", f"data-of-{output}", inputs))
        assert result.artifact is not None
        return result.artifact.digest, result.counts


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    with run_bedrock(Bedrock(clock=ScaledClock(200), faults=Faults(seed=2, slow_seconds=1))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        yield Build(tmp_path, bedrock)


def test_any_shards_pay_for_the_same_and_make_the_same(build: Build) -> None:
    build.extract("whole", 1, target=10_000)
    outcomes, expected = build.outcomes("whole"), dict[str, int]()
    assert len(outcomes) == EPISODES and len({len(one["excerpts"]) for one in outcomes.values()}) > 2
    for key, outcome in outcomes.items():
        if sum(expected.values()) < WANTED:
            expected[key] = len(outcome["excerpts"])
    digests = set()
    for shards, concurrency in ((1, 1), (1, 8), (3, 2), (5, 4)):
        output, before = f"by-{shards}-{concurrency}", len(build.bedrock.bill.paid)
        counts = build.extract(output, shards, concurrency=concurrency)
        assert {key: len(one["excerpts"]) for key, one in build.outcomes(output).items()} == expected
        calls = sum(outcomes[key]["usage"]["calls"] for key in expected)
        assert len(build.bedrock.bill.paid) - before == calls, "not one call more than is needed"
        assert sum(one.get("extract/left/TargetReached", 0) for one in counts) == EPISODES - len(expected)
        digest, made = build.assemble(output)
        assert made["sample/ok"] == WANTED
        digests.add(digest)
    # What an earlier, larger target has left in the ledger does not change what this one gives.
    digests.add(build.assemble("whole")[0])
    assert len(digests) == 1


def test_a_raised_target_goes_on_and_says_how_far_it_is(build: Build) -> None:
    first = build.extract("grown", 2)
    paid = len(build.bedrock.bill.paid)
    context = build.context("extract", "grown", {"ingest": "ingest"}, target=WANTED + 20)
    totals: list[int] = []
    update = context.reporter.update
    context.reporter.update = lambda **told: (totals.append(told.get("total", 0)), update(**told))
    counts = extract.run(context, build.bedrock.clock).counts
    assert counts["calls/saved"] == paid == sum(one["calls/paid"] for one in first)
    assert counts["calls/paid"] == len(build.bedrock.bill.paid) > paid
    assert build.bedrock.bill.paid_twice() == {}
    done = context.reporter.report.done
    assert done == context.reporter.report.total == len(build.outcomes("grown")) < EPISODES
    assert all(abs(total - done) <= 6 for total in totals[1:] if total), "the time left is told for what is needed"
    build.extract("at-once", 3, target=WANTED + 20)
    assert build.assemble("at-once") == build.assemble("grown")
