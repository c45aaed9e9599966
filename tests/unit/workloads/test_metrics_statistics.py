"""Intervals, pairs, gates, self-tests and the summary's size."""

from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.eval_measures import Gate
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import METRICS, PROFILES
from fabula_api.worker import packed
from fabula_workloads.metrics.answers import ClipFigures
from fabula_workloads.metrics.bootstrap import Estimate, estimate, paired_difference, per_sample
from fabula_workloads.metrics.clip_score import Grounding
from fabula_workloads.metrics.evaluation import Evaluation
from fabula_workloads.metrics.evaluation import evaluate as evaluated
from fabula_workloads.metrics.gates import Evidence, judge
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.metrics.self_tests import compare_arms, probe_text_metrics
from fabula_workloads.metrics.summary import rounded, summarize
from fabula_workloads.recipes.podcast.answers.form import DIALOGUE

MODEL = {"uri": "models/tiny"}
evaluate = partial(evaluated, form=DIALOGUE)
GOOD = "Speaker 1: the red boat number {0} leaves\n\nSpeaker 2: and the gulls of pier {0} follow it today"


def spec(arms: int = 2, **fields: object) -> EvalRunSpec:
    names = ["base", "tuned", *(f"other-{index}" for index in range(6))][:arms]
    return EvalRunSpec.model_validate(
        {"samples": {"uri": "s"}, "arms": [{"name": name, "model": MODEL} for name in names], **fields}
    )


def answers(samples: int = 6, arms: int = 2) -> list[GivenAnswer]:
    names = [arm.name for arm in spec(arms).arms]
    return [
        GivenAnswer(arm, f"s{index}", 0, "gibberish ~~" if arm == "base" else GOOD.format(index) + " so" * index)
        for arm in names
        for index in range(samples)
    ]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_the_interval_holds_the_mean_and_is_the_same_twice(values: list[float]) -> None:
    found = estimate(values, resamples=200)
    assert found == estimate(values, resamples=200)
    assert found.mean is not None
    assert found.low is not None
    assert found.high is not None
    slack = 1e-6 * max(1.0, max(map(abs, values)))
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_an_interval_needs_two_samples_and_a_mean_one() -> None:
    assert (estimate([]).mean, estimate([]).count) == (None, 0)
    assert (estimate([3.0]).mean, estimate([3.0]).low) == (3.0, None)


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    import numpy as np

    dice = np.random.default_rng(7)
    found = [estimate(list(dice.normal(5, 2, size=40)), resamples=400) for _ in range(200)]
    hits = sum(f.low is not None and f.high is not None and f.low <= 5 <= f.high for f in found)
    assert 180 <= hits <= 198


def test_seeds_are_averaged_before_samples_are_resampled() -> None:
    assert per_sample({("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): None, ("c", 0): 5.0}) == {"a": 2.0, "c": 5.0}


def test_a_difference_is_taken_over_pairs_only() -> None:
    found = paired_difference({"a": 3.0, "b": 4.0, "c": 100.0}, {"a": 1.0, "b": 1.0, "d": 7.0})
    assert (found.mean, found.count) == (2.5, 2)


def test_unparseable_answers_are_counted_and_are_in_no_mean() -> None:
    found = evaluate(spec(metrics=["words", "format-compliance"]), answers())
    base, tuned = found.arms
    assert base.unparseable == {"v2": 6, "paper-v1": 6}
    assert base.means["v2", "words"].count == 0
    assert base.means["v2", "words"].mean is None
    assert base.means["paper-v1", "words"].mean == 2
    assert tuned.means["v2", "format-compliance"].mean == 1
    assert found.difference("v2", "tuned", "format-compliance") is not None


def test_a_gate_on_a_figure_that_cannot_be_computed_fails() -> None:
    gates = [
        {"metric": "words", "arm": "base", "min": 0},
        {"metric": "words", "arm": "tuned", "min": 1},
        {"metric": "format-compliance", "arm": "tuned", "versus": "base", "min": 0.5},
        {"metric": "format-compliance", "arm": "tuned", "max": 0.5},
    ]
    found = evaluate(spec(metrics=["words", "format-compliance"], gates=gates), answers())
    assert [(status.value, status.passed) for _, status in found.gates] == [
        (None, False), (pytest.approx(17.5), True), (1.0, True), (1.0, False),
    ]  # fmt: skip


def test_no_gate_rests_on_a_metric_that_failed_its_self_test() -> None:
    same = {(arm, f"s{index}", 0): Grounding(20.39, 20.0, 0.1) for arm in ("base", "tuned") for index in range(4)}
    given_answers = [
        GivenAnswer(arm, f"s{index}", 0, f"Speaker 1: {arm} says {index}\nSpeaker 2: no")
        for arm, _, _ in same
        for index in range(4)
    ]
    gates = [{"metric": "clip-score", "arm": "tuned", "min": 10}]
    run = spec(metrics=["clip-score"], gates=gates, profiles=["v2"])
    found = evaluate(run, given_answers, [ClipFigures("clip", False, v2=same)])
    assert [(test.what, test.passed) for test in found.self_tests] == [("tells the arms apart", False)]
    assert [(status.value, status.passed) for _, status in found.gates] == [(20.39, False)]


def test_every_text_metric_tells_the_probes_apart() -> None:
    for profile in PROFILES:
        tests = probe_text_metrics(DIALOGUE, profile, list(METRICS.values()))
        assert {test.metric for test in tests} == {
            one.name for one in METRICS.values() if one.over == "answer" and profile in one.definitions
        }
        assert all(test.passed for test in tests), [test for test in tests if not test.passed]


def test_counts_may_be_equal_by_chance_and_the_published_clip_score_is_a_known_defect() -> None:
    figures = {arm: {f"s{i}": 1.0 for i in range(5)} for arm in ("a", "b")}
    texts = {arm: {f"s{i}": f"{arm}{i}" for i in range(5)} for arm in ("a", "b")}
    assert compare_arms(METRICS["words"], "v2", figures, texts) is None
    known = compare_arms(METRICS["clip-score"], "paper-v1", figures, texts)
    assert known is not None
    assert (known.passed, known.known_defect) == (False, True)
    equal_texts = {"a": texts["a"], "b": texts["a"]}
    assert compare_arms(METRICS["clip-score"], "v2", figures, equal_texts) is None


@pytest.mark.parametrize(
    ("value", "short"), [(0.123456, 0.1235), (12345.6, 12350.0), (0.0, 0.0), (None, None), (-3.14159, -3.142)]
)
def test_figures_are_rounded_to_four_digits(value: float | None, short: float | None) -> None:
    assert rounded(value) == short


def size(evaluation: Evaluation) -> int:
    return packed_size(summarize(evaluation))


def packed_size(summary: dict[str, object]) -> int:
    """Bytes in a termination message, where what is long is packed."""
    return len(packed(json.dumps(summary, separators=(",", ":")).encode()))


def test_the_summary_fits_whatever_was_asked() -> None:
    gates = [
        {"metric": metric, "arm": "tuned", "versus": "base", "min": 0} for metric in ("words", "turns", "distinct-2")
    ] * 4
    metrics = ["words", "turns", "distinct-2", "turn-length", "switch-rate", "format-compliance"]
    many = evaluate(spec(4, gates=gates, metrics=metrics), answers(12, 4))
    assert size(many) <= 3300
    summary = summarize(many)
    assert len(summary["gates"]) == 12
    assert {entry["name"] for arm in summary["arms"] for entry in arm["metrics"]} >= {"format-compliance", "words"}
    two = evaluate(spec(metrics=["words", "format-compliance"]), answers())
    assert {"low", "high"} <= set(summarize(two)["comparisons"][1])


@pytest.mark.parametrize(
    ("asked", "value", "passed"),
    [
        ({"min": 4}, 5.0, True),
        ({"min": 4, "figure": "interval"}, 3.0, False),
        ({"min": 3, "figure": "interval"}, 3.0, True),
        ({"max": 6, "figure": "interval"}, 7.0, False),
        ({"max": 6}, 5.0, True),
        ({"min": 3, "max": 7, "figure": "interval"}, 3.0, True),
        ({"min": 2, "max": 6, "figure": "interval"}, 7.0, False),
        ({"min": 4, "max": 8, "figure": "interval"}, 3.0, False),
    ],
)
def test_a_gate_looks_at_the_mean_or_the_nearer_end(asked: dict[str, object], value: float, passed: bool) -> None:
    gate = Gate.model_validate({"metric": "words", "arm": "a", **asked})
    status = judge(gate, Evidence(Estimate(5.0, 3.0, 7.0, 9)))
    assert (status.value, status.passed, status.reason) == (value, passed, None)


def test_a_gate_without_a_figure_says_why() -> None:
    gate = Gate(metric="words", arm="a", min=4)
    assert judge(gate, Evidence(Estimate(None, None, None, 0), "6 unparseable")).reason == "6 unparseable"
    one = judge(gate.replace(figure="interval"), Evidence(Estimate(5.0, None, None, 1)))
    assert (one.value, one.passed, one.reason) == (None, False, "an interval needs two samples, and one has a figure")
    distrusted = judge(gate, Evidence(Estimate(5.0, 4.0, 6.0, 3), distrust="the metric failed a self-test"))
    assert (distrusted.value, distrusted.passed) == (5.0, False)
    assert distrusted.reason == "the metric failed a self-test"


def test_what_cannot_be_compared_says_which_arm_lacks_what() -> None:
    gates = [{"metric": "words", "arm": "tuned", "versus": "base", "min": 0}]
    found = evaluate(spec(metrics=["words", "length-compliance"], gates=gates, prompt="Tell it."), answers())
    assert {d.metric: d.reason for d in found.differences if d.profile == "v2"} == {
        "words": "base: 6 unparseable",
        "length-compliance": "tuned: it needs asked.words; base: it needs asked.words",
    }
    assert found.gates[0][1].reason == "base: 6 unparseable"
    assert summarize(found)["gates"][0]["reason"] == "base: 6 unparseable"


def test_every_gate_is_answered_in_the_summary_however_many_there_are() -> None:
    gates = [{"metric": "words", "arm": "tuned", "versus": "base", "min": index} for index in range(31)]
    gates.append({"metric": "words", "arm": "tuned", "max": 0})
    crowded = evaluate(spec(8, gates=gates, metrics=["words"], profiles=["paper-v1"]), answers(4, 8))
    summary = summarize(crowded, limit=260)
    assert packed_size(summary) <= 260
    assert "metric" not in summary["gates"][0], "they are answered by their position"
    assert [gate["passed"] for gate in summary["gates"]] == [found.passed for _, found in crowded.gates]
