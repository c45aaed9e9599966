"""What a worker leaves has to parse: nothing of it is dropped, and what was asked and not answered has failed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support.observations import DIGEST, NOW, complete, condition, finished, observed, step, with_pod

from fabula_api.eval_results import GateStatus
from fabula_api.eval_run import EvalRunStatus
from fabula_api.recipes import Kind
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.seen.observed import Observed

LOW = {"metric": "format-compliance", "arm": "finetuned", "versus": "base", "min": 0.05}
HIGH = {"metric": "words", "arm": "finetuned", "max": 400}
KEPT = {"metric": "format-compliance", "arm": "finetuned", "versus": "base", "value": 0.4, "passed": True}
SHORT = {"metric": "words", "arm": "finetuned", "value": 120.0, "passed": True}


def scoring(gates: list[dict[str, Any]], summary: dict[str, Any]) -> Observed:
    """An evaluation whose score has ended with this summary."""
    seen, _ = step(observed("EvalRun", {"gates": gates}))
    seen, _ = step(complete(seen))
    seen, _ = step(complete(seen))
    return complete(seen, summary=summary)


def score(gates: list[dict[str, Any]], summary: dict[str, Any]) -> EvalRunStatus:
    status = plan(scoring(gates, summary), NOW).status
    assert isinstance(status, EvalRunStatus)
    return status


def message(status: EvalRunStatus) -> str:
    return next(one.message for one in status.conditions if one.type == "GatesPassed")


def test_of_two_gates_asked_one_malformed_answer_is_no_pass() -> None:
    status = score([LOW, HIGH], {"gates": [KEPT, {**SHORT, "passed": "perhaps"}]})
    assert (status.state, status.reason) == ("Failed", "ResultUnreadable")
    assert status.failure is not None
    assert "gates.1.passed" in status.failure.message
    assert "perhaps" not in status.failure.message
    assert condition(status, "GatesPassed")[0] == "Unknown"


def test_a_gate_that_nobody_answered_has_failed() -> None:
    status = score([LOW, HIGH], {"gates": [KEPT]})
    assert status.state == "Succeeded"
    assert condition(status, "GatesPassed") == ("False", "GateFailed")
    assert message(status) == "words of finetuned could not be computed"
    assert status.gates[1] == GateStatus(metric="words", arm="finetuned", value=None, passed=False)


def test_two_gates_on_one_figure_take_two_answers() -> None:
    upper = {**LOW, "min": None, "max": 0.9}
    assert condition(score([LOW, upper], {"gates": [KEPT, KEPT]}), "GatesPassed") == ("True", "AllPassed")
    assert condition(score([LOW, upper], {"gates": [KEPT]}), "GatesPassed") == ("False", "GateFailed")


def test_short_answers_go_by_their_position() -> None:
    status = score([LOW, HIGH], {"gates": [{"value": 0.4, "passed": True}, {"value": 500.0, "passed": False}]})
    assert condition(status, "GatesPassed") == ("False", "GateFailed")
    assert message(status) == "words of finetuned is 500, above 400"


def test_an_answer_without_a_figure_passes_nothing() -> None:
    assert condition(score([HIGH], {"gates": [{**SHORT, "value": None}]}), "GatesPassed")[0] == "False"


def test_a_run_that_asks_for_no_gate_does_not_look_passed() -> None:
    status = score([], {"gates": [KEPT]})
    assert status.state == "Succeeded"
    assert condition(status, "GatesPassed") == ("Unknown", "NoGates")
    assert status.gates == []


def ended(kind: Kind, stage: str, text: str | None, spec: dict[str, Any] | None = None) -> Observed:
    """A run whose stage has ended well, with that as its last word."""
    seen = observed(kind, spec)
    for _ in range(6):
        seen, _ = step(seen)
        if any(child.stage == stage for child in seen.children):
            break
        seen = complete(seen)
    assert seen.children[-1].stage == stage
    return with_pod(complete(seen), termination_message=text)


def result(**fields: Any) -> str:
    made = {"outcome": "Succeeded", "artifact": {"uri": "file:///a", "digest": DIGEST}, **fields}
    return json.dumps({name: value for name, value in made.items() if value is not None})


@pytest.mark.parametrize(
    ("kind", "stage", "text", "words"),
    [
        ("DatasetBuild", "ingest", None, "left no termination message"),
        ("DatasetBuild", "ingest", "done!", "is no result"),
        ("DatasetBuild", "ingest", result(artifact=None), "names no artifact"),
        ("DatasetBuild", "ingest", result(outcome="Failed"), "says that it failed"),
        ("DatasetBuild", "ingest", result(counts={"episode/ok": "many"}), "counts.episode/ok"),
        ("DatasetBuild", "ingest", result(lineage=[{"uri": "file:///x"}]), "lineage.0.name"),
        ("DatasetBuild", "assemble", result(summary={"samplesBySplit": {"train": "all"}}), "samplesBySplit.train"),
        ("FineTuneRun", "train", result(artifact=None), "names no artifact"),
        ("FineTuneRun", "train", result(summary={"checkpoint": {"uri": "file:///c"}}), "checkpoint.step"),
        ("EvalRun", "score", result(summary={"arms": [{"done": 3}]}), "arms.0.name"),
        ("EvalRun", "score", result(summary={"selfTests": "all well"}), "selfTests"),
    ],
)
def test_a_result_that_does_not_parse_is_unreadable(kind: Kind, stage: str, text: str | None, words: str) -> None:
    status = plan(ended(kind, stage, text), NOW).status
    assert status is not None
    assert (status.state, status.reason) == ("Failed", "ResultUnreadable")
    assert status.failure is not None
    assert words in status.failure.message
    assert status.failure.message.startswith("pod ")


def test_an_estimate_that_does_not_say_what_it_estimates_is_unreadable() -> None:
    seen, _ = step(observed("DatasetBuild", {"dryRun": True}))
    seen, _ = step(complete(seen))
    status = plan(complete(seen, summary={"minutes": 3}), NOW).status
    assert status is not None
    assert status.reason == "ResultUnreadable"


FOREIGN = {"template": {"image": "x/y", "command": ["python", "train.py"]}}


@pytest.mark.parametrize(
    ("text", "state"),
    [(None, "Succeeded"), ("saved to /out", "Succeeded"), ('{"loss": 2}', "Succeeded"), ('{"outcome": 7}', "Failed")],
)
def test_a_foreign_trainer_may_leave_what_it_likes_but_no_broken_result(text: str | None, state: str) -> None:
    status = plan(ended("FineTuneRun", "train", text, FOREIGN), NOW).status
    assert status is not None
    assert status.state == state


def test_the_last_checkpoint_of_a_training_stands_also_where_its_time_is_not_told() -> None:
    """Nobody may have heard the report of it."""
    summary = {"checkpoint": {"uri": "file:///c", "step": 126, "digest": DIGEST}, "resumedFromStep": 40}
    seen = finished(observed("FineTuneRun"), summary=summary)
    assert seen.run.status.state == "Succeeded"
    checkpoint = seen.run.status.to_wire()["checkpoint"]
    assert checkpoint == {
        "uri": "file:///c", "step": 126, "digest": DIGEST, "committedAt": seen.run.status.to_wire()["finishedAt"],
    }  # fmt: skip


def test_a_failed_pod_with_words_of_another_version_says_so() -> None:
    seen, _ = step(observed("DatasetBuild"))
    seen = with_pod(seen, phase="Failed", exit_code=3, termination_message='{"outcome": "Odd"}', finished_at=NOW)
    seen = replace(seen, children=(replace(seen.children[0], failed=True),))
    status = plan(seen, NOW).status
    assert status is not None and status.failure is not None
    assert "left an account that is no result of this version" in status.failure.message
