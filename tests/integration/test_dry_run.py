"""A dry run's estimate against what the same build is billed for, and what it says where a price is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.episodes_artifact import episode, write_episodes
from tests.support.stage_context import stage_context

from fabula_api.dataset_build import BuildEstimate
from fabula_api.summary import EstimateSummary
from fabula_workloads.recipes.podcast import estimate, extract, ingest
from fabula_workloads.recipes.podcast.illustration.paid import illustrate_paid
from fabula_workloads.runtime.ledger import Ledger

REAL = Path(__file__).parents[3] / "shared/data/podcasts/speakerTurnData.jsonl.gz"


def estimated(root: Path, spec: dict[str, Any]) -> BuildEstimate:
    context = stage_context(root, "DatasetBuild", "estimate", spec, "estimate", {"ingest": "ingest"})
    return EstimateSummary.model_validate(estimate.run(context).summary.to_wire()).estimate


def build(endpoint: str = "http://127.0.0.1:9", **changes: Any) -> dict[str, Any]:
    asked = {"provider": "bedrock", "endpointUrl": endpoint, "words": {"min": 100, "max": 260}, "maxTokens": 4096}
    images = {"provider": "bedrock", "endpointUrl": endpoint}
    return {"source": {"uri": "x", "licenseAccepted": True}, "extraction": asked, "images": images, **changes}


def test_the_bill_comes_near_the_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_episodes(tmp_path, [episode(number, turns=60) for number in range(4)])
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        spec = build(bedrock.endpoint)
        spec["images"] = spec["images"] | {"perSample": 2}
        expected = estimated(tmp_path, spec)
        assert bedrock.bill.charges == []
        context = stage_context(tmp_path, "DatasetBuild", "extract", spec, "extract", {"ingest": "ingest"})
        extract.run(context, bedrock.clock)
        found = sum(len(outcome["excerpts"]) for _, outcome in Ledger(context.store).items())
        inputs = {"extract": "extract", "ingest": "ingest"}
        illustrate_paid(stage_context(tmp_path, "DatasetBuild", "illustrate", spec, "pics", inputs), bedrock.clock)
        bill = bedrock.bill
    assert expected.sampled == 4 and 0.5 < found / expected.items["excerpts"] <= 1
    assert expected.usd is not None and 0.5 < bill.usd / expected.usd <= 1.1
    assert 0.5 < len(bill.paid) / expected.calls <= 1.1
    # A second reply is reckoned with, which the stand-in, leaving stretches out, does not need.
    assert 0.35 < sum(charge.tokens_in for charge in bill.paid) / expected.input_tokens <= 1.1


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the 80 real episodes are not beside this checkout")
def test_on_real_episodes_the_estimate_is_within_a_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls, tokens, dollars and excerpts, against a model that passes over a stretch between two excerpts."""
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        extraction = {"provider": "bedrock", "endpointUrl": bedrock.endpoint}
        source = {"uri": REAL.resolve().as_uri(), "licenseAccepted": True}
        spec = {"source": source, "extraction": extraction, "images": {"provider": "none"}}
        episodes = ingest.run(stage_context(tmp_path, "DatasetBuild", "ingest", spec, "ingest")).uri or ""
        context = stage_context(tmp_path, "DatasetBuild", "estimate", spec, "estimate", {"ingest": episodes})
        expected = EstimateSummary.model_validate(estimate.run(context).summary.to_wire()).estimate
        context = stage_context(tmp_path, "DatasetBuild", "extract", spec, "extract", {"ingest": episodes})
        found = extract.run(context, bedrock.clock).counts["excerpt/ok"]
        paid, usd = bedrock.bill.paid, bedrock.bill.usd
    billed = {
        "calls": len(paid), "input_tokens": sum(charge.tokens_in for charge in paid),
        "output_tokens": sum(charge.tokens_out for charge in paid), "usd": usd,
    }  # fmt: skip
    ratios = {name: getattr(expected, name) / figure for name, figure in billed.items()}
    ratios["excerpts"] = expected.items["excerpts"] / found
    assert all(0.8 <= ratio <= 1.25 for ratio in ratios.values()), ratios


def test_a_target_a_quota_and_a_sample_decide_too(tmp_path: Path) -> None:
    write_episodes(tmp_path, [episode(number % 3, turns=20) | {"id": f"{number:016x}"} for number in range(450)])
    whole = estimated(tmp_path, build())
    assert whole.sampled == 150 and whole.usd is not None
    few = estimated(tmp_path, build(target={"samples": 10}))
    assert few.items["excerpts"] == 11 and few.usd is not None and few.usd < whole.usd / 10
    slow = build(images={"provider": "bedrock", "quota": {"requestsPerMinute": 1}})
    pictures = 5 * whole.items["excerpts"]
    assert estimated(tmp_path, slow).minutes == pytest.approx(pictures, rel=0.1)


def test_what_has_no_price_has_no_dollars_and_rules_cost_nothing(tmp_path: Path) -> None:
    write_episodes(tmp_path, [episode(number) for number in range(3)])
    unknown = build()
    unknown["extraction"] = unknown["extraction"] | {"model": "somebody.model-v1"}
    assert estimated(tmp_path, unknown).usd is None
    priced = unknown | {"prices": {"somebody.model-v1": {"inputPerMillion": 1, "outputPerMillion": 2}}}
    assert (estimated(tmp_path, priced).usd or 0) > 0
    free = build(extraction={"provider": "rules"}, images={"provider": "none"})
    assert (estimated(tmp_path, free).calls, estimated(tmp_path, free).usd) == (0, 0)
