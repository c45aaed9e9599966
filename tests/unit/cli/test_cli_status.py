"""What `status`, `watch`, `cost` and `retry` make of runs, without a cluster."""

import io

import pytest
from rich.console import Console
from tests.support.told_runs import FAILED, SUCCEEDED, TIME, WAITS, WORKS, condition, told

from fabula_cli.access import named
from fabula_cli.commands.cost import cost_of, line, total
from fabula_cli.commands.hold import again, held
from fabula_cli.commands.status import drawn, stages, stands, tree, why
from fabula_cli.commands.watch import bars, over, row
from fabula_cli.exits import CommandFailed, Exit
from fabula_operator.plan.seen.observed import Run

SUSPENDED = {"state": "Suspended", "conditions": [condition("Suspended", "True", "SuspendedBySpec", "no pod")]}
THROTTLED = {"state": "Running", "reason": "ProviderThrottled"}
ADAPTER = {"adapter": {"uri": "s3://b/a", "digest": "x"}, "metrics": {"loss": 1}}
HOSTILE = "[/x] \x1b[2J\u202eevil"


def text(renderable: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200, color_system=None).print(renderable, highlight=False)
    return out.getvalue()


def test_what_waits_stands_above_what_it_waits_for() -> None:
    runs = [told("DatasetBuild", "books", WORKS), told("FineTuneRun", "tale", WAITS), told("EvalRun", "score")]
    (root,) = tree(runs)
    assert text(drawn(root)).splitlines() == [
        "EvalRun/score  Pending",
        "the operator has not looked at it yet; `fabula doctor` says whether one is at work",
        "└── FineTuneRun/tale  Pending",
        "    DatasetBuild books is Running (extract 4/12)",
        "    └── DatasetBuild/books  Running  extract 4/12  2m10s left",
    ]
    assert root.to_wire()["needs"][0]["reason"] == "WaitingForDataset"


def test_a_run_that_is_named_and_not_there_is_shown_as_missing() -> None:
    (root,) = tree([told("FineTuneRun", "tale", WAITS)])
    assert [(one.name, one.state) for one in root.needs] == [("DatasetBuild/books", "Missing")]


def test_nothing_a_cluster_says_is_markup_or_a_terminals_command() -> None:
    status = {**WAITS, "reason": "Odd", "conditions": [condition("Running", "False", "Odd", HOSTILE)]}
    run = told("FineTuneRun", "tale", status)
    for said in (text(drawn(tree([run])[0])), text(bars([row(run)], 200)), text(bars([row(run)], 60))):
        assert "[/x]" in said
        assert "\x1b" not in said
        assert "\u202e" not in said


@pytest.mark.parametrize(
    ("situation", "run", "words"),
    [
        ("at work", told("DatasetBuild", "books", WORKS), None),
        ("failed", told("FineTuneRun", "tale", FAILED), "rank 1 ran out of memory"),
        ("done", told("DatasetBuild", "books", SUCCEEDED), None),
        ("edited", told("DatasetBuild", "books", WORKS, generation=2), "its spec was edited"),
        (
            "stands still",
            told("DatasetBuild", "b", {**WORKS, "conditions": [condition("Stalled", "True", "Silent", "no report")]}),
            "stands still: no report",
        ),
        (
            "suspended",
            told(
                "DatasetBuild",
                "b",
                SUSPENDED,
            ),
            "no pod",
        ),
        (
            "held up",
            told("DatasetBuild", "b", THROTTLED),
            "ProviderThrottled",
        ),
    ],
)
def test_why_a_run_is_not_simply_at_work(situation: str, run: Run, words: str | None) -> None:
    found = why(run)
    assert found == words or (words is not None and found is not None and found.startswith(words)), situation


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], Exit.OK),
        ([SUCCEEDED], Exit.OK),
        ([SUCCEEDED, WORKS], Exit.UNFINISHED),
        ([WORKS, FAILED], Exit.BAD),
        ([{**WAITS, "conditions": [condition("Stalled", "True", "DatasetFailed", "x")]}], Exit.BAD),
    ],
)
def test_exit_codes_follow_how_the_runs_are(statuses: list[dict[str, object]], code: Exit) -> None:
    assert stands([told("FineTuneRun", f"r{at}", one) for at, one in enumerate(statuses)]) is code


def test_stages_in_lines() -> None:
    assert stages(told("DatasetBuild", "books", WORKS)) == [
        "ingest        Succeeded  10/10  reused",
        "extract       Running  4/12, 1 failed  2m10s left",
    ]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (told("DatasetBuild", "books", WORKS), "DatasetBuild/books  Running  40%  extract 4/12  2m10s left"),
        (
            told(
                "FineTuneRun",
                "tale",
                {**SUCCEEDED, **ADAPTER},
            ),
            "FineTuneRun/tale  Succeeded  s3://b/a  loss 1.000",
        ),
        (told("FineTuneRun", "tale", FAILED), "FineTuneRun/tale  Failed  rank 1 ran out of memory"),
    ],
)
def test_a_watched_run_in_one_line(run: Run, words: str) -> None:
    assert row(run).line() == words


def test_a_watch_is_over_when_all_finished_with_the_spec_they_have() -> None:
    assert over([told("FineTuneRun", "a", FAILED), told("DatasetBuild", "b", SUCCEEDED)])
    assert not over([told("FineTuneRun", "a", FAILED, generation=2)])
    assert not over([told("DatasetBuild", "b", WORKS)])


def test_what_is_not_known_costs_not_nothing() -> None:
    costs = [cost_of(told("DatasetBuild", "books", WORKS)), cost_of(told("FineTuneRun", "tale", FAILED))]
    assert line(costs[0]) == ("DatasetBuild/books", "1.50", "0.25", "-", "-", "-", "40", "1,200")
    assert line(costs[1]) == ("FineTuneRun/tale", "6.00", "-", "-", "3.00", "1.00", "-", "-")
    assert line(total(costs)) == ("total", "7.50", "0.25", "-", "3.00", "1.00", "40", "1,200")
    assert line(total([cost_of(told("EvalRun", "score"))]))[1] == "-"


def test_a_failed_run_starts_again_by_an_edit_that_leaves_nothing_behind() -> None:
    assert again(told("FineTuneRun", "tale", FAILED)).patches == ({"suspend": True}, {"suspend": False})


def test_failed_items_of_a_finished_build_are_tried_again() -> None:
    status = {**SUCCEEDED, "stages": [{"name": "extract", "state": "Succeeded", "failed": 2}]}
    assert again(told("DatasetBuild", "books", status, retryFailed=1)).patches[0]["retryFailed"] == 2


def test_what_cannot_be_tried_again_or_held_is_said() -> None:
    with pytest.raises(CommandFailed, match="only what has failed"):
        again(told("DatasetBuild", "books", WORKS))
    with pytest.raises(CommandFailed, match="nothing to suspend"):
        held(told("FineTuneRun", "tale", FAILED), True)
    assert held(told("DatasetBuild", "books", WORKS), True).patches == ({"suspend": True},)
    assert held(told("DatasetBuild", "books", WORKS), False).patches == ()


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("ftr", "FineTuneRun"),
        ("finetuneruns", "FineTuneRun"),
        ("evalrun.fabula.dev", "EvalRun"),
        ("DSB", "DatasetBuild"),
    ],
)
def test_a_run_may_be_named_as_kubectl_names_it(word: str, kind: str) -> None:
    assert named(f"{word}/x") == (kind, "x")
    assert named("x") == (None, "x")
    with pytest.raises(CommandFailed, match="FineTuneRun \\(ftr\\)"):
        named("job/x")


def test_timestamps_of_the_fixtures_are_times() -> None:
    assert told("FineTuneRun", "tale", FAILED).status.finished_at == TIME
