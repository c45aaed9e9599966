"""Drawing through Bedrock, against the stand-in: pictures, filters, rewrites, books, restarts and the budget."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.bedrock import Bedrock, run_bedrock
from tests.support.bedrock_clock import ScaledClock
from tests.support.bedrock_faults import Faults
from tests.support.stage_context import stage_context

from fabula_workloads.painting.png import chunks_of
from fabula_workloads.painting.soften import soften
from fabula_workloads.recipes.podcast.illustrate import run
from fabula_workloads.recipes.podcast.illustration.paid import illustrate_paid
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, TryAgain, WorkerError
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store

RISKY = "A butcher with a knife and blood on the table"


class Bench:
    def __init__(self, root: Path, bedrock: Bedrock) -> None:
        self.root, self.bedrock = root, bedrock

    def scenes(self, num_episodes: int = 4, prompt: str = "a boat with {} sails at a pier") -> int:
        """Write an extract ledger; how many scenes it has."""
        ledger = Ledger(open_store(f"file://{self.root}/extract"))
        for number in range(num_episodes):
            scenes = [{"index": k, "prompt": prompt.format(10 * number + k)} for k in range(1, 6)]
            usage = {"calls": 1, "lost": 0, "tokensIn": 1000, "tokensOut": 100, "usd": 0.01}
            excerpts = [{"index": 0, "text": f"t{number}", "words": 1, "scenes": scenes}]
            outcome = {"outcome": "ok", "podcast": "show", "excerpts": excerpts, "usage": usage}
            ledger.put(f"{number:016x}", outcome)
        return 5 * num_episodes

    def context(self, shard: int = 0, shards: int = 1, output: str = "pics", **spec: Any) -> StageContext:
        images = {"provider": "bedrock", "endpointUrl": self.bedrock.endpoint} | spec.pop("images", {})
        whole = {"source": {"uri": "s"}, "images": images} | spec
        inputs = {"extract": "extract", "ingest": "ingest"}
        return stage_context(self.root, "DatasetBuild", "illustrate", whole, output, inputs, shard=shard, shards=shards)

    def run(self, context: StageContext) -> StageResult:
        return illustrate_paid(context, self.bedrock.clock)  # type: ignore[arg-type]

    def outcomes(self, output: str = "pics") -> dict[str, dict[str, Any]]:
        return dict(Ledger(self.context(output=output).store).items())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with run_bedrock(Bedrock(clock=ScaledClock(200))) as bedrock:
        for name, value in bedrock.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(tmp_path, bedrock)


def test_pictures_are_whole_bare_and_known_by_origin(bench: Bench) -> None:
    total = bench.scenes()
    context = bench.context()
    counts = run(context).counts
    assert counts.pop("calls/seconds") > 0
    assert counts == {"image/ok": total, "calls/paid": total, "cost/usd": pytest.approx(0.08 * total)}
    for key, outcome in bench.outcomes().items():
        png = context.store.read(outcome["path"])
        assert Image.open(io.BytesIO(png)).size == (1344, 768) == (outcome["width"], outcome["height"])
        assert set(chunks_of(png)) <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
        assert outcome["model"] == "stability.sd3-5-large-v1:0" and outcome["rewritten"] is False, key
        assert 0 <= outcome["seed"] < 2**32 - 1 and len(outcome["requestId"]) == 36
    assert len({outcome["seed"] for outcome in bench.outcomes().values()}) == total


def test_faults_on_the_way_cost_nothing_twice(bench: Bench) -> None:
    total = bench.scenes(8)
    bench.bedrock.faults = Faults(seed=3, throttle=0.15, server_error=0.1, unavailable=0.1, cut=0.1)
    counts = bench.run(bench.context()).counts
    assert counts["image/ok"] == total
    assert bench.bedrock.bill.paid_twice() == {}
    assert counts["cost/usd"] == pytest.approx(bench.bedrock.bill.usd_delivered)
    assert counts["calls/lost"] == sum(not charge.delivered for charge in bench.bedrock.bill.paid) > 0


def test_a_filtered_prompt_gets_one_rewrite_in_milder_words(bench: Bench) -> None:
    bench.scenes(1, RISKY + " {}")
    bench.bedrock.faults = Faults(filtered_prompt=1)
    counts = bench.run(bench.context()).counts
    assert counts.pop("calls/seconds") > 0
    assert counts == {"image/failed/PromptFiltered": 5, "calls/paid": 10}
    tries = Counter(charge.item.rsplit("-", 2)[0] for charge in bench.bedrock.bill.paid)
    assert set(tries.values()) == {2}
    assert all(outcome["rewritten"] for outcome in bench.outcomes().values())
    assert bench.run(bench.context()).counts["calls/saved"] == 10 and len(bench.bedrock.bill.paid) == 10


def test_a_harmless_prompt_that_is_filtered_is_not_sent_again(bench: Bench) -> None:
    bench.scenes(1)
    bench.bedrock.faults = Faults(filtered_prompt=1)
    counts = bench.run(bench.context()).counts
    assert counts.pop("calls/seconds") > 0
    assert counts == {"image/failed/PromptFiltered": 5, "calls/paid": 5}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("filtered_image", "PictureFiltered"), ("inference_error", "InferenceError"), ("flat_image", "FlatPicture")],
)
def test_other_bad_ends_have_their_reasons(bench: Bench, fault: str, reason: str) -> None:
    bench.scenes(1)
    bench.bedrock.faults = Faults(**{fault: 1.0})
    assert bench.run(bench.context()).counts[f"image/failed/{reason}"] == 5


def test_a_second_seed_saves_most_filtered_pictures(bench: Bench) -> None:
    total = bench.scenes(8)
    bench.bedrock.faults = Faults(seed=1, filtered_image=0.3)
    counts = bench.run(bench.context()).counts
    rewritten = sum(one["rewritten"] and one["outcome"] == "ok" for one in bench.outcomes().values())
    assert rewritten > 0 and counts["image/ok"] + counts["image/failed/PictureFiltered"] == total
    assert counts["cost/usd"] == pytest.approx(0.08 * counts["image/ok"]) == bench.bedrock.bill.usd


@pytest.mark.parametrize("lost", ["items", "items and calls"])
def test_a_picture_that_was_paid_for_is_found_again(bench: Bench, lost: str) -> None:
    """Killed after the picture was stored, before its outcome (or even the record of its call) was."""
    total = bench.scenes(2)
    first = bench.run(bench.context())
    before = bench.outcomes()
    store = bench.context().store
    victims = sorted(before)[:3]
    for entry in list(store.list("items")) + (list(store.list("calls")) if "calls" in lost else []):
        if any(victim in entry.path for victim in victims):
            store.delete(entry.path)
    again = bench.run(bench.context())
    assert len(bench.bedrock.bill.paid) == total, "no picture was paid for again"
    assert again.counts["cost/usd"] == first.counts["cost/usd"]
    assert {key: one["sha256"] for key, one in bench.outcomes().items()} == {
        key: one["sha256"] for key, one in before.items()
    }


def test_a_picture_that_the_store_does_not_take_may_be_on_the_bill(bench: Bench) -> None:
    """The disk is full once the picture is there: it is paid for, and the next start knows."""
    bench.scenes(1)
    context = bench.context(images={"concurrency": 1})
    (context.cache.parent / "pics").mkdir(exist_ok=True)
    blocked = bench.root / "pics" / "pictures"
    blocked.write_text("no folder")
    with pytest.raises(WorkerError):
        bench.run(context)
    assert len(bench.bedrock.bill.paid) == 1
    blocked.unlink()
    counts = bench.run(bench.context()).counts
    assert (counts["image/ok"], counts["calls/lost"]) == (5, 1)
    assert counts["cost/usd"] + counts["cost/lostUsd"] == pytest.approx(bench.bedrock.bill.usd)


def test_any_number_of_shards_draws_the_same_pictures(bench: Bench) -> None:
    bench.scenes()
    ends = []
    for shards in (1, 3):
        for shard in range(shards):
            bench.run(bench.context(shard, shards, output=f"by-{shards}"))
        ends.append({key: one["sha256"] for key, one in bench.outcomes(f"by-{shards}").items()})
    assert ends[0] == ends[1]


def test_what_extraction_took_is_not_there_for_pictures(bench: Bench) -> None:
    bench.scenes(4)  # 0.04 dollars of extraction
    context = bench.context(budget={"usd": 0.04 + 0.08 * 7})
    counts = bench.run(context).counts
    assert counts["image/ok"] == 7 and counts["illustrate/left/BudgetReached"] == 13
    assert bench.bedrock.bill.usd == pytest.approx(0.56)
    condition = context.reporter.report.condition
    assert condition is not None and condition.reason == "BudgetReached"
    assert bench.run(bench.context(budget={"usd": 5})).counts["image/ok"] == 20
    assert bench.bedrock.bill.usd == pytest.approx(1.6)


def test_the_first_report_of_a_restarted_shard_says_what_was_spent(bench: Bench) -> None:
    """The operator divides the budget by it, before the shard has drawn anything."""
    bench.scenes(2)
    bench.run(bench.context(budget={"usd": 0.02 + 0.08 * 7}))
    context = bench.context(budget={"usd": 5})
    context.stopping.set()
    with pytest.raises(TryAgain):
        bench.run(context)
    assert context.reporter.report.counts["cost/usd"] == pytest.approx(0.56)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("odd", ConfigInvalid, r"refused all \d+ calls alike \(ValidationException\), saying \"temperature and top_p .*"
         r"look at podcast\.images\.bedrockModel stability\..*, podcast\.images\.region us-west-2 .*all are tried"),
        ("no_access", CredentialsRefused, "the account has no access to models in us-west-2 .*model catalog"),
        ("no_model", ConfigInvalid, r"images\.bedrockModel: Bedrock knows no model stability\..* in us-west-2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("concurrency", [1, 4])
def test_what_every_call_meets_ends_the_stage_and_marks_no_scene(
    bench: Bench, fault: str, kind: type[WorkerError], words: str, concurrency: int
) -> None:
    total = bench.scenes()
    bench.bedrock.faults = Faults(always=fault)
    with pytest.raises(kind, match=words):
        bench.run(bench.context(images={"concurrency": concurrency}))
    assert bench.outcomes() == {} and bench.bedrock.bill.paid == []
    bench.bedrock.faults = Faults()
    assert bench.run(bench.context()).counts["image/ok"] == total  # the account is mended: all are tried


def test_an_aspect_ratio_that_bedrock_lacks(bench: Bench) -> None:
    bench.scenes(1)
    with pytest.raises(ConfigInvalid, match="use 16:9 or 1:1"):
        run(bench.context(images={"aspectRatio": "4:3"}))


@pytest.mark.parametrize(
    ("prompt", "milder"),
    [
        (RISKY, "A butcher with a kitchen tool and red paint on the table"),
        ("Two men talk with John Quincy Adams near a bench", "Two men talk with a person near a bench"),
        ("A skill that begins with warm bread", "A skill that begins with warm bread"),
    ],
)
def test_softening(prompt: str, milder: str) -> None:
    assert soften(prompt) == milder
