"""Extraction through Bedrock, against the stand-in: outcomes, books, restarts, budget, quota and refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ManualClock, ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.bedrock_model import Manner
from tests.support.episodes_artifact import episode, write_episodes
from tests.support.stage_context import stage_context

from fabula_api.worker import Allowance
from fabula_workloads.recipes.podcast import extract
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, TryAgain
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.store import Store

NASTY = Faults(
    seed=7, throttle=0.1, server_error=0.05, unavailable=0.05, model_timeout=0.03, cut=0.05, truncated=0.1, fenced=0.1,
    prose=0.1, malformed=0.1, refusal=0.03,
)  # fmt: skip


class Bench:
    """A root with an ingest artifact, and the stand-in."""

    def __init__(self, root: Path, bedrock: Bedrock, num_episodes: int = 12) -> None:
        self.root, self.bedrock = root, bedrock
        write_episodes(root, [episode(number) for number in range(num_episodes)])

    def context(self, shard: int = 0, shards: int = 1, output: str = "extract", **spec: Any) -> StageContext:
        asked = {
            "provider": "bedrock", "endpointUrl": self.bedrock.endpoint, "words": {"min": 100, "max": 260},
            "maxTokens": 4096,
        } | spec.pop("extraction", {})  # fmt: skip
        whole = {"source": {"uri": "x", "licenseAccepted": True}, "extraction": asked} | spec
        inputs = {"ingest": "ingest"}
        return stage_context(self.root, "DatasetBuild", "extract", whole, output, inputs, shard=shard, shards=shards)

    def run(self, context: StageContext) -> StageResult:
        return extract.run(context, self.bedrock.clock)  # type: ignore[arg-type]

    def outcomes(self, output: str = "extract") -> dict[str, dict[str, Any]]:
        return dict(Ledger(self.context(output=output).store).items())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(tmp_path, bedrock)


def test_every_episode_gets_checked_excerpts(bench: Bench) -> None:
    result = bench.run(bench.context())
    assert result.counts["extract/ok"] == 12
    for outcome in bench.outcomes().values():
        assert all(100 <= one["words"] <= 260 and len(one["scenes"]) == 5 for one in outcome["excerpts"])
        assert all(one["verbatimRatio"] == 1.0 for one in outcome["excerpts"])
        assert outcome["promptVersion"] == "excerpts-v1" and outcome["promptDigest"].startswith("sha256:")
    assert result.counts["verbatim/found"] == result.counts["verbatim/grams"] > 0


def test_the_ledger_agrees_with_the_bill_to_the_cent(bench: Bench) -> None:
    bench.bedrock.faults = NASTY
    counts = bench.run(bench.context()).counts
    bill = bench.bedrock.bill
    delivered = [charge for charge in bill.paid if charge.delivered]
    assert counts["cost/usd"] == pytest.approx(bill.usd_delivered)
    assert counts["calls/paid"] == len(delivered)
    assert counts.get("calls/lost", 0) == len(bill.paid) - len(delivered)
    assert counts["tokens/input"] == sum(charge.tokens_in for charge in delivered)
    assert counts["tokens/output"] == sum(charge.tokens_out for charge in delivered)
    assert bill.paid_twice() == {}
    by_call = {charge.item: charge.usd for charge in delivered}
    calls = dict(Ledger(bench.context().store.child("calls")).items())
    assert {call: pytest.approx(record["usd"]) for call, record in calls.items()} == by_call


def test_spoilt_replies_are_asked_again_once_and_then_named(bench: Bench) -> None:
    bench.bedrock.faults = Faults(malformed=1)
    counts = bench.run(bench.context()).counts
    assert counts["extract/failed/MalformedReply"] == 12 and counts["calls/paid"] == 24
    bench.bedrock.faults = Faults(refusal=1)
    counts = bench.run(bench.context(output="refused")).counts
    assert counts["extract/skipped/Refused"] == 12 and counts["calls/paid"] == 12


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner(paraphrase=1), "NotVerbatim"),
        (Manner(wrong_speakers=1), "WrongSpeakers"),
        (Manner(too_short=1, wrong_word_count=1), "TooShort"),
    ],
)
def test_what_a_model_says_of_itself_does_not_count(bench: Bench, manner: Manner, reason: str) -> None:
    bench.bedrock.manner = manner
    counts = bench.run(bench.context()).counts
    assert counts["extract/skipped/NoValidExcerpt"] == 12
    assert counts[f"excerpt/rejected/{reason}"] > 12 and "excerpt/ok" not in counts


def test_a_transcript_with_nothing_to_see_is_paid_for_once(bench: Bench) -> None:
    bench.bedrock.manner = Manner(not_visual=1)
    assert bench.run(bench.context()).counts["extract/skipped/NotVisual"] == 12
    again = bench.run(bench.context()).counts
    assert again["calls/paid"] == again["calls/saved"] == 12 == len(bench.bedrock.bill.paid)


def test_more_excerpts_than_a_reply_holds_are_asked_for_until_there_are_no_more(bench: Bench) -> None:
    tight = {"maxTokens": 1024, "maxExcerpts": 6}
    counts = bench.run(bench.context(extraction=tight)).counts
    roomy = bench.run(bench.context(extraction={"maxTokens": 16_384, "maxExcerpts": 6}, output="roomy")).counts
    assert counts["excerpt/ok"] == roomy["excerpt/ok"]
    assert counts["calls/paid"] > roomy["calls/paid"] == 12


def test_any_number_of_shards_gives_the_same_excerpts(bench: Bench) -> None:
    ledgers = []
    for shards in (1, 3):
        for shard in range(shards):
            bench.run(bench.context(shard, shards, output=f"by-{shards}"))
        ledgers.append(bench.outcomes(f"by-{shards}"))
    assert ledgers[0] == ledgers[1]


class DyingStore:
    """A store that ends the worker's life before the n-th write whose path fits."""

    def __init__(self, store: Store, fits: str, number: int) -> None:
        self._store, self._fits, self._left = store, fits, number
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def child(self, path: str) -> Any:
        dying = DyingStore(self._store.child(path), self._fits.removeprefix(f"{path}/"), self._left)
        return dying if self._fits.startswith(f"{path}/") else self._store.child(path)

    def write(self, path: str, data: bytes) -> None:
        with self._lock:
            self._left -= path.startswith(self._fits)
            if self._left <= 0:
                raise KeyboardInterrupt("killed")
        self._store.write(path, data)


def without_usage(outcomes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The outcomes but for their costs, in which calls that were lost on the way count."""
    return {key: {name: value for name, value in one.items() if name != "usage"} for key, one in outcomes.items()}


@pytest.mark.parametrize("number", [1, 4, 9])
def test_killed_between_reply_and_outcome_nothing_is_paid_for_again(bench: Bench, number: int) -> None:
    """The call's record is stored before anything is made of the reply."""
    bench.bedrock.faults = NASTY
    undisturbed = bench.run(bench.context(output="whole"))
    expected, paid = bench.outcomes("whole"), len(bench.bedrock.bill.paid)
    context = bench.context(extraction={"concurrency": 1})
    context.store = DyingStore(context.store, "items/", number)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        bench.run(context)
    result = bench.run(bench.context())
    assert without_usage(bench.outcomes()) == without_usage(expected)
    assert result.counts["calls/saved"] >= number
    assert result.counts["cost/usd"] == pytest.approx(undisturbed.counts["cost/usd"])
    second = [charge for charge in bench.bedrock.bill.paid[paid:] if charge.delivered]
    assert len({charge.body for charge in second}) == len(second), "nothing was paid for twice"


def test_told_to_stop_it_keeps_what_is_in_flight_and_goes_on_later(bench: Bench) -> None:
    context = bench.context(extraction={"concurrency": 3})

    class Stopping(DyingStore):
        def write(self, path: str, data: bytes) -> None:
            self._store.write(path, data)
            if path.startswith("items/"):
                context.stopping.set()

    context.store = Stopping(context.store, "", 0)  # type: ignore[assignment]
    with pytest.raises(TryAgain) as error:
        bench.run(context)
    assert error.value.reason == "Interrupted"
    assert 1 <= len(bench.outcomes()) <= 4
    assert bench.run(bench.context()).counts["extract/ok"] == 12
    assert bench.bedrock.bill.paid_twice() == {} and len(bench.bedrock.bill.paid) == 12


def test_the_budget_is_never_passed_and_what_is_there_is_kept(bench: Bench) -> None:
    whole = bench.run(bench.context(output="whole")).counts["cost/usd"]
    for part in (0.3, 0.7):
        context = bench.context(output=f"part-{part}", budget={"usd": part * whole + 0.08}, images={"provider": "none"})
        before = bench.bedrock.bill.usd
        counts = bench.run(context).counts
        spent = bench.bedrock.bill.usd - before
        assert counts["extract/left/BudgetReached"] == 12 - counts["extract/ok"] > 0
        assert part * whole - 0.08 < spent <= part * whole + 0.08, "within one call of the limit, and never above"
        condition = context.reporter.report.condition
        assert condition is not None and condition.reason == "BudgetReached"
        again = bench.run(bench.context(output=f"part-{part}", budget={"usd": 100}, images={"provider": "none"}))
        assert again.counts["extract/ok"] == 12 and again.counts["cost/usd"] == pytest.approx(whole)


def test_an_episode_that_the_budget_cuts_short_is_used_and_gone_on_with(bench: Bench) -> None:
    """Its paid calls would otherwise be wasted until somebody raises the budget."""
    asked = {"maxTokens": 1024, "maxExcerpts": 6, "concurrency": 1}
    bench.run(bench.context(output="whole", extraction=asked))
    expected = bench.outcomes("whole")
    context = bench.context(extraction=asked, budget={"usd": 0.08}, images={"provider": "none"})
    counts = bench.run(context).counts
    partial = {key: one for key, one in bench.outcomes().items() if one.get("partial")}
    assert counts["extract/partial"] == len(partial) == 1
    assert counts["excerpt/ok"] == sum(len(one["excerpts"]) for one in bench.outcomes().values())
    for key, one in partial.items():
        assert one["excerpts"] == expected[key]["excerpts"][: len(one["excerpts"])]
    counts = bench.run(bench.context(extraction=asked, budget={"usd": 9}, images={"provider": "none"})).counts
    assert without_usage(bench.outcomes()) == without_usage(expected)
    assert counts["calls/paid"] == sum(one["usage"]["calls"] for one in expected.values())
    assert counts["cost/usd"] == pytest.approx(sum(one["usage"]["usd"] for one in expected.values()))


def test_pictures_keep_their_part_of_the_budget(bench: Bench) -> None:
    counts = bench.run(bench.context(extraction={"budgetShare": 0.5}, budget={"usd": 0.4})).counts
    assert 0 < counts["cost/usd"] <= 0.2 and counts["extract/left/BudgetReached"] > 0


def test_the_operator_says_when_the_budget_is_used_up(bench: Bench) -> None:
    context = bench.context(extraction={"concurrency": 1})
    context.reporter._heard = (Allowance(budget_used_up=True), 0.0)
    assert bench.run(context).counts == {"extract/left/BudgetReached": 12}
    assert bench.bedrock.bill.charges == []


def test_within_its_quota_it_is_not_throttled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call at a time, on a clock that only waiting moves; `benchmarks/dataset` has many shards at once."""
    clock, quota = ManualClock(), {"requestsPerMinute": 60, "tokensPerMinute": 100_000}
    bedrock = Bedrock(clock=clock, requests_per_minute=60, tokens_per_minute=100_000, output_weight=5)
    bedrock.seconds_per_token = 0.001
    with run_bedrock(bedrock):
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        bench = Bench(tmp_path, bedrock, num_episodes=40)
        result = bench.run(bench.context(extraction={"quota": quota, "concurrency": 1}))
    assert result.counts["extract/ok"] == 40
    assert [charge.status for charge in bedrock.bill.charges] == [200] * 40
    used = [charge.tokens_in + 5 * charge.tokens_out for charge in bedrock.bill.paid]
    flowed_in = 100_000 * clock.now() / 60 + max(used)  # the first call need not wait for all of its tokens
    assert 0.95 * flowed_in <= sum(used) <= flowed_in


def test_refused_credentials_and_unknown_models_end_it_at_once(bench: Bench) -> None:
    bench.bedrock.faults = Faults(denied=True)
    with pytest.raises(CredentialsRefused, match="may not use"):
        bench.run(bench.context(extraction={"concurrency": 1}))
    assert len(bench.bedrock.bill.charges) == 1
    with pytest.raises(ConfigInvalid, match="knows no model nonsense"):
        bench.run(bench.context(extraction={"model": "nonsense"}))


def test_an_outage_is_told_while_it_lasts(bench: Bench) -> None:
    bench.bedrock.faults = Faults(outage=(0, 1e9))
    context = bench.context()
    told: list[str | None] = []
    tell = context.reporter.tell

    def listen(condition: Any) -> None:
        told.append(condition and condition.reason)
        bench.bedrock.faults = Faults()
        tell(condition)

    context.reporter.tell = listen  # type: ignore[method-assign]
    assert bench.run(context).counts["extract/ok"] == 12
    assert told[0] == "ProviderUnavailable" and told[-1] is None
    refused = [charge for charge in bench.bedrock.bill.charges if charge.status == 503]
    assert len(refused) < 40, "eight callers knock together, not each on its own"


def test_a_budget_needs_a_price(bench: Bench) -> None:
    model = "custom.model-v1"
    with pytest.raises(ConfigInvalid, match=r"no price of custom\.model-v1 is known; give it in spec\.prices"):
        bench.run(bench.context(extraction={"model": model}, budget={"usd": 1}))
    prices = {model: {"inputPerMillion": 3, "outputPerMillion": 15}}
    assert (
        bench.run(bench.context(extraction={"model": model}, budget={"usd": 9}, prices=prices)).counts["cost/usd"] > 0
    )
