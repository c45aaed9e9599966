"""The card of what was tuned: in Hugging Face's format, the same for the same inputs, and with what was evaluated."""

from __future__ import annotations

from typing import Any

from fabula_api.details import BaseModelDetails
from fabula_api.eval_run import EvalRunSpec
from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_api.rubrics import STORY
from fabula_workloads.judging.ballots import Ballot
from fabula_workloads.judging.figures import Judged, JudgeFigures, judge_figures
from fabula_workloads.judging.self_test import DAMAGED, ORIGINAL
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE
from fabula_workloads.recipes.podcast.evaluation import EVALUATION
from fabula_workloads.report.evaluated_card import evaluated_card
from fabula_workloads.report.parts import Told
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.training.launcher.model_card import model_card

DATASET = "sha256:" + "d" * 64
BASE = BaseModelDetails(digest="sha256:" + "b" * 64, name="Qwen/Qwen3-VL-32B-Instruct", revision="c" * 40)


def card(curve: list[dict[str, Any]] | None = None, **fields: Any) -> str:
    spec = FineTuneRunSpec.model_validate({"dataset": {"uri": "d"}, "model": {"name": "m"}, **fields})
    rows = [{"step": step, "loss": 4.0 / step} for step in range(1, 101)] if curve is None else curve
    return model_card(spec, BASE, dataset=DATASET, prompt_version="v3", steps=100, curve=rows)


def test_the_card_is_read_by_the_hubs_own_library() -> None:
    from huggingface_hub import ModelCard

    found = ModelCard(card())
    told = found.data.to_dict()
    assert told["base_model"] == "Qwen/Qwen3-VL-32B-Instruct"
    assert (told["library_name"], told["base_model_relation"], told["pipeline_tag"]) == (
        "peft", "adapter", "image-text-to-text",
    )  # fmt: skip
    full = ModelCard(card(training={"method": "full"})).data.to_dict()
    assert (full["library_name"], full["base_model_relation"]) == ("transformers", "finetune")


def test_it_tells_base_dataset_settings_curve_and_evaluation() -> None:
    rows = [{"step": step, "loss": 4.0 / step} for step in range(1, 101)]
    rows[61]["validationLoss"] = 0.25
    text = card(rows)
    for words in (DATASET, BASE.digest, "| prompt | v3 |", "| rank, alpha, dropout | 16, 32, 0.05 |", "q_proj, ",
                  "12544 to 451584 pixels", "| 1 | 4.0000 |", "| 62 | 0.0645 | 0.2500 |", "| 100 | 0.0400 |",
                  "Validation loss after the last step: 0.2500."):  # fmt: skip
        assert words in text, words
    assert len(text.splitlines()) < 60
    assert text == card(rows)
    assert "has no validation split" in card()


SAID = {
    "base": "Speaker 1: {0} boats are in the harbour.\n\nSpeaker 2: Yes, it rains.",
    "tuned": "Speaker 1: {0} of us went down to the quay at six.\n\nSpeaker 2: And the boat?\n\nSpeaker 1: Gone.",
}
SAMPLES = [f"story-{number}" for number in range(10)]


def verdicts(name: str, always: str | None = None) -> JudgeFigures:
    """A judge that prefers the tuned arm, or always what is shown in one place."""
    ballots = []
    for probe, arms in (("", ("tuned", "base")), ("padded", (ORIGINAL, DAMAGED)), ("scrambled", (ORIGINAL, DAMAGED))):
        for sample in SAMPLES:
            for shown in (arms, arms[::-1]):
                first = always == "first" or (always is None and shown[0] == arms[0])
                ballots.append(Ballot(sample, 0, shown, {"overall": float(first)}, probe=probe))
    words = {(arm, sample, 0): 10 for arm in SAID for sample in SAMPLES}
    return judge_figures(name, STORY, ballots, [("tuned", "base")], ["base", "tuned"], words)


def test_an_evaluation_writes_the_arms_figures_into_its_card() -> None:
    from huggingface_hub import ModelCard

    spec = EvalRunSpec.model_validate(
        {
            "samples": {"uri": "vist"},
            "arms": [{"name": name, "model": {"uri": "m"}} for name in SAID],
            "metrics": ["words", "turns", "repetition"],
        }
    )
    answers = [
        GivenAnswer(arm, sample, 0, text.format("many " * (number % 3)))
        for arm, text in SAID.items()
        for number, sample in enumerate(SAMPLES)
    ]
    judges = [verdicts("opus"), verdicts("coin", always="first")]
    told = Told(
        evaluate(spec, answers, (), DIALOGUE), {name: EvaluationSample(id=name) for name in SAMPLES}, {},
        Judged(judges, ()), spec,
    )  # fmt: skip
    text = evaluated_card(card(), told, "tuned", samples=DATASET, code="fabula 1", parts=EVALUATION.report)
    found = ModelCard(text)
    assert found.data.base_model == "Qwen/Qwen3-VL-32B-Instruct", "what it said before, it says still"
    assert card().split("---", 2)[2].strip() in text
    results = {one.metric_type: one for one in found.data.eval_results or []}
    assert set(results) == {"words", "turns", "repetition"}
    assert results["turns"].metric_value == 3.0
    assert (results["turns"].dataset_name, results["turns"].dataset_revision) == ("10 picture sequences", DATASET)
    assert "| Turns: turns of an answer | 3.0 (3.0 to 3.0) | 2.0 (2.0 to 2.0) | +1.0 (+1.0 to +1.0) | 0.006 |" in text
    assert "Judge opus preferred it to base in 100% (72% to 100%) of picture sequences." in text
    assert "Judge coin failed its self-test" in text
    of_base = evaluated_card(card(), told, "base", samples=DATASET, code="fabula 1", parts=EVALUATION.report)
    assert "preferred it to tuned in 0% (0% to 28%)" in of_base and "| difference |" not in of_base
