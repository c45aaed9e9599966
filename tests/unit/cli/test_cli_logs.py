"""Which logs there are of a run, and where: from pods, and from the store when those are gone."""

from typing import Any

import pytest
from tests.support.told_runs import FAILED, SUCCEEDED, TIME, told

from fabula_cli.commands.logs import Source, folder, source, stored_logs, why_none
from fabula_cli.commands.report import folder as report_folder
from fabula_cli.exits import CommandFailed, Exit
from fabula_cli.store import root_told

KEY = "sha256:" + "ab" * 32
CHECKPOINT = {
    "uri": "s3://b/t/train/x/checkpoints/step-000055",
    "step": 55,
    "digest": "d",
    "committedAt": TIME,
}


def pod(name: str, phase: str, containers: list[str], **labels: str) -> dict[str, Any]:
    found = {"metadata": {"name": name, "labels": {key.replace("__", "/"): value for key, value in labels.items()}}}
    return {**found, "spec": {"containers": [{"name": one} for one in containers]}, "status": {"phase": phase}}


def test_a_pod_is_read_by_its_stage_arm_and_number() -> None:
    labels = {"fabula.dev/stage": "infer", "fabula.dev/arm": "base", "batch.kubernetes.io/job-completion-index": "3"}
    assert source(pod("a", "Running", ["mesh", "worker"], **labels)) == Source("infer/base", 3, "a", "worker", True)
    rank = {"fabula.dev/stage": "train", "training.kubeflow.org/replica-index": "1"}
    assert source(pod("b", "Pending", ["pytorch"], **rank)) == Source("train", 1, "b", "pytorch", False)
    assert source(pod("c", "Failed", ["worker"])).label == "?"


@pytest.mark.parametrize(("attempt", "found"), [(None, [(2, 0), (2, 1)]), (1, [(1, 0)]), (3, [])])
def test_the_last_attempts_ranks_are_read(attempt: int | None, found: list[tuple[int, int]]) -> None:
    paths = ["attempt-1/rank-0.log", "attempt-2/rank-1.log", "attempt-2/rank-0.log", "attempt-2/notes.txt", "../x"]
    assert [(one.attempt, one.rank) for one in stored_logs(paths, attempt)] == found


@pytest.mark.parametrize(
    ("situation", "status", "root", "place"),
    [
        ("it committed", {"stages": [{"name": "train", "artifact": {"uri": "s3://b/a", "digest": "d"}}]}, None, "s3://b/a"),
        ("it left a checkpoint", {"checkpoint": CHECKPOINT}, None, "s3://b/t/train/x"),
        (
            "it only has a key",
            {"stages": [{"name": "train", "key": KEY}]},
            "s3://bucket/root",
            f"s3://bucket/root/default/finetunerun/train/{'ab' * 8}",
        ),
        ("the root is not known", {"stages": [{"name": "train", "key": KEY}]}, None, None),
        ("it never began", {}, "s3://bucket", None),
    ],
)  # fmt: skip
def test_where_a_training_run_keeps_its_logs(
    situation: str, status: dict[str, Any], root: str | None, place: str | None
) -> None:
    assert folder(told("FineTuneRun", "tale", {**FAILED, **status}), root) == place, situation


def test_what_has_no_log_says_why() -> None:
    assert "not kept once their pods are gone" in why_none(told("DatasetBuild", "books", SUCCEEDED), None)
    assert "give --artifact-root" in why_none(told("FineTuneRun", "tale", FAILED), None)
    assert "left no log" in why_none(told("FineTuneRun", "tale", FAILED), "s3://bucket")


def test_a_report_is_there_or_it_is_said_why_not() -> None:
    done = told("EvalRun", "score", {**SUCCEEDED, "report": {"uri": "s3://b/r", "digest": "d"}})
    assert report_folder(done) == "s3://b/r"
    for run, code in ((told("EvalRun", "score"), Exit.ABSENT), (told("DatasetBuild", "books"), Exit.USAGE)):
        with pytest.raises(CommandFailed) as raised:
            report_folder(run)
        assert raised.value.code is code


def test_the_root_is_what_the_operator_was_told() -> None:
    containers = [{"name": "operator", "command": ["fabula-operator"], "args": ["--a=b", "--artifact-root=s3://x/y"]}]
    assert root_told([{"spec": {"template": {"spec": {"containers": containers}}}}]) == "s3://x/y"
    assert root_told([]) is None
