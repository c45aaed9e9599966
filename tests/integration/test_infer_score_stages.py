"""From picture sequences to a report on a tiny model: answers that depend on nothing but themselves."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.support.stage_context import KEY, stage_context
from tests.support.vist_folder import write_vist

from fabula_api.arms import beyond_vllm
from fabula_api.artifact import Manifest
from fabula_api.details import TunedDetails
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.inference.adapter_check import Held, check_adapter, held_in_training
from fabula_workloads.inference.request import Answer, Answers, Failure, Interrupted, Request, Work
from fabula_workloads.recipes.podcast.answers.transcript_file import load
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, TryAgain
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.progress import Reporter
from fabula_workloads.runtime.store import local_path
from fabula_workloads.stages import infer, score, select

SAMPLES = 4
CORPUS = ["Speaker 1: the red boat leaves the harbour\n\nSpeaker 2: and the gulls follow it"]


def spec(**fields: Any) -> dict[str, Any]:
    model = {"uri": "models/qwen"}
    return {
        "samples": {"uri": "vist", "count": SAMPLES},
        "arms": [
            {"name": "base", "model": model, "gpusPerShard": 0},
            {"name": "tuned", "model": model, "gpusPerShard": 0},
        ],
        "generation": {"maxNewTokens": 12, "seeds": [0, 1], **fields.pop("generation", {})},
        "clipModel": {"uri": "models/clip"},
        **fields,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with sequences chosen and tiny models built."""
    from fabula_quickstart.tiny import clip, qwen3_vl

    root = tmp_path_factory.mktemp("world")
    write_vist(root / "vist", SAMPLES)
    qwen3_vl.build(root / "models" / "qwen", CORPUS)
    clip.build(root / "models" / "clip", CORPUS)
    chosen = select.run(stage_context(root, "EvalRun", "select", spec(), "selected"))
    local_path(chosen.uri or "").rename(root / "select")
    return root


def infer_context(
    root: Path, output: str, *, shard: int = 0, shards: int = 1, arm: str = "base", **fields: Any
) -> StageContext:
    inputs = {"select": "select"}
    return stage_context(root, "EvalRun", "infer", spec(**fields), output, inputs, shard=shard, shards=shards, arm=arm)


def outcomes(root: Path, output: str) -> dict[str, dict[str, Any]]:
    return dict(Ledger(open_store(f"file://{root}/{output}")).items())


def texts(root: Path, output: str) -> dict[str, str]:
    return {key: outcome["text"] for key, outcome in outcomes(root, output).items()}


class Parrot:
    """Answers with a dialogue of the request's key; can stop the stage, or fail for some samples."""

    def __init__(self, stop: tuple[StageContext, int] | None = None, broken: str = "none") -> None:
        self.asked: list[str] = []
        self._stop, self._broken = stop, broken

    def __call__(self, _: StageContext) -> Parrot:
        return self

    def answers(self, work: Work, interrupted: Interrupted) -> Answers:
        while not interrupted() and (taken := work(1)):
            self.asked += [request.key for request in taken]
            if self._stop and len(self.asked) >= self._stop[1]:
                self._stop[0].stopping.set()
                return
            yield from ((request, self._say(request)) for request in taken)

    def _say(self, request: Request) -> Answer | Failure:
        if self._broken in request.sample:
            return Failure("NonFiniteLogits")
        text = f"Speaker 1: about {request.key}\n\nSpeaker 2: {request.seed} boats " + "and so on " * 40
        return Answer(text, 9, 0.5, "stop")


@pytest.mark.torch
def test_answers_do_not_depend_on_shards_or_order_and_differ_by_seed(world: Path) -> None:
    infer.run(infer_context(world, "one"))
    for shard in (2, 0, 1):
        infer.run(infer_context(world, "three", shard=shard, shards=3))
    assert texts(world, "one") == texts(world, "three")
    assert len(texts(world, "one")) == 2 * SAMPLES
    infer.run(infer_context(world, "batched", generation={"batchSize": 4}))
    assert texts(world, "batched") == texts(world, "one")
    sample = next(iter(texts(world, "one"))).rpartition("-")[0]
    assert texts(world, "one")[f"{sample}-0"] != texts(world, "one")[f"{sample}-1"]
    infer.run(infer_context(world, "greedy", generation={"temperature": 0}))
    greedy = texts(world, "greedy")
    assert all(greedy[f"{key.rpartition('-')[0]}-0"] == greedy[f"{key.rpartition('-')[0]}-1"] for key in greedy)
    for key, outcome in outcomes(world, "one").items():
        file = (world / "one" / "transcripts" / f"{key}.txt").read_bytes().decode()
        assert file.startswith(f"Sample: {key.rpartition('-')[0]}\nWord count: {len(outcome['text'].split())}\n")
        assert outcome["tokens"] <= 12
        assert outcome["finish"] == ("length" if outcome["tokens"] == 12 else "stop")


def test_the_time_left_leaves_out_what_loading_took(world: Path) -> None:
    now, left = [0], []
    context = infer_context(world, "loading")
    context.reporter = Reporter(context.config, clock=lambda: now[0])

    class Slow(Parrot):
        def __call__(self, _: StageContext) -> Parrot:
            now[0] += 600
            return self

        def _say(self, request: Request) -> Answer | Failure:
            left.append(context.reporter.report.eta_seconds)
            now[0] += 1
            return super()._say(request)

    infer.infer(context, Slow())
    assert left == [None, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.torch
def test_a_stopped_shard_goes_on_and_asks_nothing_twice(world: Path) -> None:
    shutil.rmtree(world / "stopped", ignore_errors=True)
    context = infer_context(world, "stopped")
    first = Parrot(stop=(context, 3))
    with pytest.raises(TryAgain, match="told to stop"):
        infer.infer(context, first)
    kept = set(outcomes(world, "stopped"))
    assert len(kept) == 2, "the answer in hand was cut short and is none"
    second = Parrot()
    assert infer.infer(infer_context(world, "stopped"), second).counts == {"answer/ok": 8}
    assert kept.isdisjoint(second.asked)
    assert len(second.asked) == 6


@pytest.mark.torch
def test_the_whole_evaluation_ends_in_a_report(world: Path) -> None:
    for shard in range(2):
        infer.run(infer_context(world, "infer-base", shard=shard, shards=2))
        infer.infer(infer_context(world, "infer-tuned", shard=shard, shards=2, arm="tuned"), Parrot(broken="_01_"))
    gates = [{"metric": "format-compliance", "arm": "tuned", "versus": "base", "min": 0.5}]
    inputs = {"select": "select", "infer/base": "infer-base", "infer/tuned": "infer-tuned"}
    tuned = {"lineage": [], "code": "fabula 0", "card": "---\ntags: [fabula]\n---\n\n# LoRA adapter\n"}
    (world / "infer-tuned" / "origins" / "by-hand.json").write_text(json.dumps(tuned))
    context = stage_context(world, "EvalRun", "score", spec(gates=gates, shards=2), "score", inputs)
    result = score.run(context)
    summary = result.summary.to_wire()
    assert [gate["passed"] for gate in summary["gates"]] == [True]
    base, tuned = summary["arms"]
    assert (base["unparseable"], tuned["done"], tuned["failed"]) == (8, 6, 2)
    assert {metric["name"]: metric.get("mean") for metric in base["metrics"]}["words"] is None
    assert result.to_worker_result(context.store.uri).encode()
    assert result.artifact is not None
    assert {part.path for part in result.artifact.parts} == {
        "cards/tuned.md", "report.html", "report.json", "results.csv", "results.parquet",
        "samples.csv", "samples-paper-v1.csv", "summary.csv", "summary-paper-v1.csv",
    }  # fmt: skip
    html = (world / "score" / "report.html").read_text()
    assert html.count("<img ") == SAMPLES * 5
    assert "random weights" in html
    found = json.loads((world / "score" / "report.json").read_text())
    ours = f"fabula {version('fabula')}"
    assert (found["settings"]["answered by"], found["settings"]["scored by"]) == (f"fabula 0, {ours}", ours)
    card = (world / "score" / "cards" / "tuned.md").read_text()
    assert card.startswith("---\ntags:\n- fabula\nmodel-index:\n- name: tuned\n") and "# LoRA adapter" in card
    assert "CLIPScore" not in card, "of random weights nothing is published"
    assert "Speaker" in found["settings"]["prompt asked"]
    tests = {(t["metric"], t["profile"], t["name"]): (t["passed"], t["knownDefect"]) for t in found["selfTests"]}
    assert tests["clip-score", "v2", "tells two texts apart"] == (True, False)
    assert tests["clip-score", "paper-v1", "tells two texts apart"] == (False, True)
    again = score.run(stage_context(world, "EvalRun", "score", spec(gates=gates, shards=2), "score-again", inputs))
    assert again.artifact is not None
    assert again.artifact.digest == result.artifact.digest


@pytest.mark.torch
def test_a_missing_answer_is_named(world: Path) -> None:
    infer.infer(infer_context(world, "part", shard=1, shards=2), Parrot())
    ledger = Ledger(open_store(f"file://{world}/part"))
    for key in sorted(ledger.ids())[:4]:
        ledger.remove(key)
    inputs = {"select": "select", "infer/base": "part", "infer/tuned": "part"}
    with pytest.raises(InputInvalid, match=r"arm base: 4 answers are missing .*sample_01_story_\d+-0"):
        score.run(stage_context(world, "EvalRun", "score", spec(shards=2), "score-part", inputs))


def manifest(**details: Any) -> Manifest:
    return Manifest(kind="adapter", digest=KEY, parts=[], details=details)


def test_an_adapter_of_other_making_is_refused_with_both_values() -> None:
    digest = "sha256:" + "1" * 64
    pixels = {"minPixels": 12544, "maxPixels": 50176}
    fits = {"pixels": pixels, "promptVersion": "v3", "base": {"uri": "m", "digest": digest}}
    window = PixelWindow.model_validate(pixels)

    def check(given: dict[str, Any], version: str | None = "v3", held: Literal["none", "nf4"] | None = None) -> None:
        check_adapter(
            manifest(**given), asked="arm tuned", pixels=window, prompt_version=version, base_digest=digest,
            quantization=held, recipe="podcast",
        )  # fmt: skip

    check(fits)
    check({**fits, "promptVersion": "other"}, None)
    with pytest.raises(ConfigInvalid, match=r"12544\.\.451584.*12544\.\.50176"):
        check({**fits, "pixels": {"minPixels": 12544, "maxPixels": 451584}})
    with pytest.raises(ConfigInvalid, match=r"'v2'.*'v3'"):
        check({**fits, "promptVersion": "v2"})
    with pytest.raises(ConfigInvalid, match=KEY):
        check({**fits, "base": {"digest": KEY}})
    check({**fits, "quantization": "nf4"}, held="nf4")
    with pytest.raises(ConfigInvalid, match=r"^arm tuned: .*quantization nf4 of its base.*asked for in none"):
        check({**fits, "quantization": "nf4"}, held="none")
    with pytest.raises(ConfigInvalid, match=r"trained for recipe captions, but it is asked under podcast"):
        check({**fits, "recipe": "captions"})
    with pytest.raises(InputInvalid, match="does not record base; it was not made by Fabula"):
        check({})


@pytest.mark.parametrize(
    ("told", "held", "beyond"),
    [
        ({}, Held(), None),
        ({"quantization": "nf4", "lora": {"rank": 8}}, Held("nf4"), "on a base in nf4"),
        ({"lora": {"precision": "fp32"}}, Held(fp32_update=True), "with lora.precision fp32"),
        ({"method": "full"}, Held(), None),
    ],
)
def test_an_adapter_is_held_as_in_training_or_refused(told: dict[str, Any], held: Held, beyond: str | None) -> None:
    window = {"minPixels": 12544, "maxPixels": 50176}
    made = TunedDetails.model_validate({"pixels": window, "promptVersion": "v3", "base": {"digest": KEY}} | told)
    assert held_in_training(made) == held
    assert beyond_vllm(held.quantization, "fp32" if held.fp32_update else None) == beyond


def test_transcripts_are_what_the_published_loader_reads() -> None:
    assert load("Sample: s\nWord count: 2\nGeneration time: 1.0s\n" + "=" * 60 + "\n\na b") == "a b"
