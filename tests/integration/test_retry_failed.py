"""`retryFailed`: what failed for good is tried once more for each round, on new calls; all else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.episodes_artifact import episode, write_episodes
from tests.support.stage_context import stage_context

from fabula_workloads.recipes.podcast import extract
from fabula_workloads.recipes.podcast.illustration.paid import illustrate_paid
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store

NUM_EPISODES = 8


class Bench:
    """A build of a few episodes against the stand-in."""

    def __init__(self, root: Path, bedrock: Bedrock) -> None:
        self.root, self.bedrock = root, bedrock
        write_episodes(root, [episode(number) for number in range(NUM_EPISODES)])

    def spec(self, **spec: Any) -> dict[str, Any]:
        endpoint = {"provider": "bedrock", "endpointUrl": self.bedrock.endpoint}
        asked = {**endpoint, "words": {"min": 100, "max": 260}, "maxTokens": 4096, "maxExcerpts": 2}
        images = {**endpoint, "perSample": 1}
        return {"source": {"uri": "x", "licenseAccepted": True}, "extraction": asked, "images": images, **spec}

    def context(self, stage: str, **spec: Any) -> StageContext:
        inputs = {"ingest": "ingest", "extract": "extract"}
        return stage_context(self.root, "DatasetBuild", stage, self.spec(**spec), stage, inputs)

    def extract(self, **spec: Any) -> StageResult:
        return extract.run(self.context("extract", **spec), self.bedrock.clock)  # type: ignore[arg-type]

    def illustrate(self, **spec: Any) -> StageResult:
        return illustrate_paid(self.context("illustrate", **spec), self.bedrock.clock)  # type: ignore[arg-type]

    def outcomes(self, stage: str) -> dict[str, dict[str, Any]]:
        return dict(Ledger(open_store(f"file://{self.root}/{stage}")).items())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(tmp_path, bedrock)


def failed(outcomes: dict[str, dict[str, Any]]) -> set[str]:
    return {key for key, outcome in outcomes.items() if outcome["outcome"] == "failed"}


def test_episodes_that_failed_are_asked_about_anew_and_no_others(bench: Bench) -> None:
    bench.bedrock.faults = Faults(seed=2, malformed=0.7, refusal=0.1)
    bench.extract()
    before = bench.outcomes("extract")
    assert 0 < len(failed(before)) < NUM_EPISODES
    paid = len(bench.bedrock.bill.paid)
    assert "extract/failed/MalformedReply" in bench.extract().counts and len(bench.bedrock.bill.paid) == paid

    bench.bedrock.faults = Faults()
    counts = bench.extract(retryFailed=1).counts
    after = bench.outcomes("extract")
    assert not failed(after) and "extract/failed/MalformedReply" not in counts
    assert all(after[key] == before[key] for key in set(before) - failed(before))
    again = bench.bedrock.bill.paid[paid:]
    assert {charge.item.partition("-")[0] for charge in again} == failed(before)
    assert all(charge.item.endswith("-r1") for charge in again)
    assert counts["cost/usd"] == pytest.approx(bench.bedrock.bill.usd)
    assert counts["calls/paid"] == len(bench.bedrock.bill.paid)

    later = bench.extract(retryFailed=1).counts
    assert later["cost/usd"] == counts["cost/usd"] and len(bench.bedrock.bill.paid) == paid + len(again)


def test_a_round_tries_each_episode_once_and_the_next_round_once_more(bench: Bench) -> None:
    bench.bedrock.faults = Faults(malformed=1)
    for retry in (0, 1, 1, 3):
        counts = bench.extract(retryFailed=retry).counts
        assert counts["extract/failed/MalformedReply"] == NUM_EPISODES
        assert counts["cost/usd"] == pytest.approx(bench.bedrock.bill.usd)
    assert len(bench.bedrock.bill.paid) == 3 * 2 * NUM_EPISODES, "three rounds of a request and its one re-ask"
    assert {outcome["retry"] for outcome in bench.outcomes("extract").values()} == {3}


def test_a_round_that_is_cut_off_pays_for_nothing_twice(bench: Bench) -> None:
    bench.bedrock.faults = Faults(malformed=1)
    bench.extract()
    bench.bedrock.faults = Faults()
    context = bench.context("extract", retryFailed=1)
    ledger = Ledger(context.store)
    failures = {key: ledger.get(key) for key in sorted(bench.outcomes("extract"))}
    bench.extract(retryFailed=1)
    paid = len(bench.bedrock.bill.paid)
    for key in list(failures)[:3]:  # as if the worker had died between the call's record and the outcome
        ledger.put(key, failures[key] or {})
    counts = bench.extract(retryFailed=1).counts
    assert len(bench.bedrock.bill.paid) == paid
    assert counts["extract/ok"] == NUM_EPISODES
    assert counts["cost/usd"] == pytest.approx(bench.bedrock.bill.usd)


@pytest.mark.parametrize("fault", ["filtered_image", "flat_image"])
def test_pictures_that_failed_are_drawn_from_another_seed(bench: Bench, fault: str) -> None:
    bench.extract()
    bench.bedrock.faults = Faults(seed=4, **{fault: 0.6})
    bench.illustrate()
    before = bench.outcomes("illustrate")
    assert 0 < len(failed(before)) < len(before)

    bench.bedrock.faults = Faults()
    drawn = bench.illustrate(retryFailed=1)
    after, extracted = bench.outcomes("illustrate"), bench.extract().counts["cost/usd"]
    assert drawn.counts["image/ok"] == len(after) == len(before)
    for key, outcome in after.items():
        if key in failed(before):
            assert outcome["seed"] != before[key]["seed"] and outcome["path"].endswith("-r1.png")
        else:
            assert outcome == before[key]
    assert drawn.counts["cost/usd"] + extracted == pytest.approx(bench.bedrock.bill.usd)
    assert bench.bedrock.bill.paid_twice() == {}
