"""What a recipe brings to an evaluation and is not sound is told by its name, once, and is never tried again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import Definition, Metric
from fabula_workloads.metrics.answer_form import PLAIN
from fabula_workloads.metrics.answers import measure_answer
from fabula_workloads.metrics.brought import brought, function_of
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.records import GivenAnswer, Key
from fabula_workloads.pictures.opening import UnfitPicture
from fabula_workloads.report.markup import Markup
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import ReportParts, Section, Told
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.stages.select import check_metrics

ANSWER = GivenAnswer("base", "a", 0, "A red square.")
SPEC = EvalRunSpec.model_validate({"samples": {"uri": "s"}, "arms": [{"name": "base", "model": {"uri": "m"}}]})


def no_number(reading: Any) -> float:
    return math.nan


def word(reading: Any) -> str:
    return "long"


def narrow(reading: Any) -> Any:
    return np.float32(0.25)


def counted(reading: Any) -> Any:
    return np.int64(3)


def narrow_no_number(reading: Any) -> Any:
    return np.float32(math.nan)


def raises(reading: Any) -> float:
    return 1 / 0


class Endless:
    """A metric over a whole evaluation."""

    metric, label, tests = "captions/over", None, ()

    def value(self, profile: str, key: Key) -> float | None:
        return math.inf


def metric(name: str, function: str | None = None, **fields: Any) -> Metric:
    definition = Definition("a test's", function or f"{__name__}:{name.partition('/')[2]}")
    return Metric(name, "One", "of a test", ".1f", definitions={"v2": definition}, **fields)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("captions/no_number", "no_number, profile v2) gives nan for an answer, which is no figure"),
        ("captions/narrow_no_number", "profile v2) gives np.float32(nan) for an answer, which is no figure"),
        ("captions/word", "word, profile v2) gives 'long' for an answer, which is no figure"),
        (
            "captions/raises",
            "raises, profile v2) cannot be used: it raised ZeroDivisionError: division by zero (at t",
        ),
    ],
)
def test_a_metric_that_gives_no_figure_is_named(name: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        measure_answer(ANSWER, PLAIN, ["v2"], [metric(name)])
    assert refused.value.message.startswith(f"metric {name} (") and said in refused.value.message


@pytest.mark.parametrize(("name", "value"), [("captions/narrow", 0.25), ("captions/counted", 3.0)])
def test_numbers_of_numpy_are_numbers(name: str, value: float) -> None:
    found = measure_answer(ANSWER, PLAIN, ["v2"], [metric(name)]).values["v2"][name]
    assert (found, type(found)) == (value, float)


def test_one_over_a_whole_evaluation_too() -> None:
    over = metric("captions/over", over="evaluation")
    with pytest.raises(ConfigInvalid, match=r"^metric captions/over .* gives inf for an answer"):
        measure_answer(ANSWER, PLAIN, ["v2"], [over], [Endless()])


@pytest.mark.parametrize("function", ["captions.gone:one", f"{__name__}:gone"])
def test_a_function_that_is_not_there_is_named(function: str) -> None:
    with pytest.raises(ConfigInvalid, match=rf"^metric captions/gone \({function}, profile v2\) cannot be used"):
        function_of(metric("captions/gone", function), "v2")


def test_select_looks_for_metrics_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = metric("captions/gone", "captions.gone:one")
    monkeypatch.setattr("fabula_workloads.stages.select.metrics_of", lambda recipe: {gone.name: gone})
    with pytest.raises(ConfigInvalid, match="metric captions/gone"):
        check_metrics(SPEC.replace(metrics=[gone.name]))
    with pytest.raises(ConfigInvalid, match=r"^metrics\[0\]: the recipe podcast of this image has no captions/other"):
        check_metrics(SPEC.replace(metrics=["captions/other"]))


def test_a_section_that_raises_is_named() -> None:
    def content(told: Told) -> Markup:
        raise KeyError("tone")

    evaluation = evaluate(SPEC.replace(metrics=["words"]), [ANSWER])
    told = Told(evaluation, {"a": EvaluationSample(id="a")}, {"a": []}, recipe="captions")
    parts = ReportParts(sections=[Section("Tone", "How it sounds.", content)])
    with pytest.raises(
        ConfigInvalid, match=r"^section 'Tone' in the report of the recipe captions cannot be used: it raised K"
    ):
        page(told, name="one", lineage=[], settings={}, parts=parts)


@pytest.mark.parametrize("error", [ConfigInvalid("said"), UnfitPicture("Missing", "is not there"), OSError(5, "disk")])
def test_what_is_told_elsewhere_or_may_pass_is_left_as_it_is(error: Exception) -> None:
    def work() -> None:
        with brought("it"):
            raise error

    raised: Callable[[], None] = work
    with pytest.raises(type(error)) as seen:
        raised()
    assert seen.value is error
