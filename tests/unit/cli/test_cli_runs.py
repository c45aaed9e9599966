"""Runs in words: the line while a run works, the digest when it fails, the table at the end."""

import io
from typing import Any

import pytest
from rich.console import Console
from tests.support.told_runs import TIME, told

from fabula_cli.following import PlainDisplay
from fabula_cli.runs import absent, failure, line, score_table
from fabula_operator.plan.seen.observed import Run


def training(**status: Any) -> Run:
    return told("FineTuneRun", "tale", status)


@pytest.mark.parametrize(
    ("situation", "run", "words"),
    [
        ("nothing known yet", training(), "FineTuneRun/tale  Pending"),
        (
            "it waits for its dataset",
            training(state="Pending", reason="WaitingForDataset"),
            "FineTuneRun/tale  Pending  WaitingForDataset",
        ),
        (
            "it trains",
            training(state="Running", progress={"summary": "step 40/126", "eta": "2m"}, metrics={"loss": 1.23456}),
            "FineTuneRun/tale  Running  step 40/126  loss 1.235  2m left",
        ),
        (
            "it is done",
            training(
                state="Succeeded",
                adapter={"uri": "file:///a", "digest": "x"},
                finishedAt=TIME,
                progress={"summary": "done", "eta": "0s"},
            ),
            "FineTuneRun/tale  Succeeded  file:///a",
        ),
    ],
)
def test_the_line_says_what_a_run_does(situation: str, run: Run, words: str) -> None:
    assert line(run) == words, situation


def test_among_runs_of_everywhere_a_line_has_the_namespace() -> None:
    assert line(training(state="Running"), everywhere=True) == "FineTuneRun/default/tale  Running"


def test_a_run_that_is_not_there_says_so() -> None:
    assert line(absent("FineTuneRun", "tale", "default")) == "FineTuneRun/tale  Pending  NotFound"


def test_a_failure_names_place_class_and_the_end_of_the_log() -> None:
    run = training(
        state="Failed",
        failure={
            "reason": "RankFailed",
            "message": "rank 1 ended",
            "stage": "train",
            "rank": 1,
            "exception": "ValueError",
            "logTail": ["first", "last"],
        },
    )
    lines = failure(run)
    assert lines[0] == "FineTuneRun/tale failed: RankFailed (stage train, rank 1, exception ValueError)"
    assert lines[1:] == ["  rank 1 ended", "  | first", "  | last"]


def test_a_plain_display_says_each_thing_once() -> None:
    out = io.StringIO()
    plain = PlainDisplay(Console(file=out, width=200))
    for summary in ("step 1/2", "step 1/2", "step 2/2"):
        plain.show([training(state="Running", progress={"summary": summary})])
    lines = out.getvalue().splitlines()
    assert [line.split("]", 1)[1].strip() for line in lines] == [
        "FineTuneRun/tale  Running  step 1/2",
        "FineTuneRun/tale  Running  step 2/2",
    ]


def test_a_metric_without_a_figure_shows_a_dash_and_never_a_zero() -> None:
    arms = [
        {"name": "base", "done": 8, "unparseable": 8, "metrics": [{"name": "words", "mean": 120.5}]},
        {
            "name": "tuned",
            "done": 8,
            "metrics": [
                {"name": "words", "mean": 140, "low": 130, "high": 150},
                {"name": "turn-length", "mean": 12},
                {"name": "clip-score", "mean": 5.1, "label": "random weights"},
            ],
        },
    ]
    rows = score_table(told("EvalRun", "e", {"arms": arms}))
    assert rows == [
        ["metric", "base", "tuned"],
        ["answers", "8", "8"],
        ["unparseable", "8", "0"],
        ["words", "120.5", "140 [130, 150]"],
        ["turn-length", "-", "12"],
        ["clip-score (random weights)", "-", "5.1"],
    ]
