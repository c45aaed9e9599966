"""The benchmarks' tables in the report, and ViSpeak-Bench through the judge stage: figures that follow by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.judge_server import KEY, JudgeServer, run_judges
from tests.support.stage_context import stage_context

from fabula_api.metrics import ProfileName
from fabula_api.recipes import default_metrics, metrics_of
from fabula_api.specs import parse_spec
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.visual_instruction.annotations.rows import Turn
from fabula_workloads.recipes.visual_instruction.answer import SaidAt, WatchedAnswer
from fabula_workloads.recipes.visual_instruction.evaluated import ClipSample
from fabula_workloads.recipes.visual_instruction.evaluation import EVALUATION
from fabula_workloads.recipes.visual_instruction.scoring.tables.ovo import ovo_table
from fabula_workloads.recipes.visual_instruction.scoring.tables.streaming import streaming_table
from fabula_workloads.report.parts import Told
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages import judge, score

ARMS = [{"name": name, "model": {"name": "m"}} for name in ("base", "watcher")]


def said(at: float | None, text: str = "") -> str:
    return WatchedAnswer(replies=() if at is None else (SaidAt(at=at, text=text),)).written()


def clip(name: str, **fields: Any) -> ClipSample:
    given = {"id": name, "video": f"{name}.mp4", "start": 0.0, "end": 10.0, "shard": "s.tar", "frames": (0.0, 9.0)}
    return ClipSample.model_validate(given | fields)


def told(clips: Sequence[ClipSample], answers: dict[str, list[str]], profile: ProfileName = "v2") -> Told:
    spec = parse_spec("EvalRun", {"recipe": "visual-instruction", "samples": {"uri": "x"}, "arms": ARMS,
                                  "profiles": [profile]})  # fmt: skip
    given = [
        GivenAnswer(arm, one.id, 0, text) for arm, texts in answers.items()
        for one, text in zip(clips, texts, strict=True)
    ]  # fmt: skip
    return Told(evaluate(spec, given, (), EVALUATION.answers), {one.id: one for one in clips}, {})  # type: ignore[arg-type]


def rows_of(table: Any) -> dict[str, dict[str, str]]:
    """Cells by row and column, as a reader finds them."""
    head, body = str(table).split("</thead>")
    columns = re.findall(r"<th>(.*?)</th>", head)[1:]
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", body, re.S):
        name = re.sub(r"<span>control</span>", "", re.findall(r"<th>(.*?)</th>", row, re.S)[0])
        found[name] = dict(zip(columns, re.findall(r"<td[^>]*>(.*?)</td>", row), strict=True))
    return found


BACKWARD, REAL, FORWARD = ("EPM", "ASI", "HLD"), ("STU", "OJR", "ATR", "ACR", "OCR", "FPD"), ("REC", "SSR", "CRR")


def test_ovo_bench_has_both_means_by_name_and_controls_below_the_arms() -> None:
    wanted = dict.fromkeys((*BACKWARD, *REAL), "B") | {"REC": "2", "SSR": "Yes", "CRR": "No"}
    clips = [clip(f"{task}-{n}", bench="ovo", subtask=task, question=f"{task}{n}", answer=right, options=("a", "b"))
             for task, right in wanted.items() for n in range(2)]  # fmt: skip
    right = [said(9.0, one.answer or "") for one in clips]
    # The watcher has all of backward, half of each real-time task, and nothing ahead.
    watcher = [
        said(9.0, one.answer if one.subtask in BACKWARD or (one.subtask in REAL and one.id.endswith("0")) else "x")  # type: ignore[arg-type]
        for one in clips
    ]
    rows = rows_of(ovo_table(told(clips, {"base": right, "watcher": watcher}), "v2"))
    assert rows["base"]["Mean of 12 tasks"] == rows["base"]["Mean of 3 groups"] == "100.00"
    assert (rows["watcher"]["Backward"], rows["watcher"]["Real-time"], rows["watcher"]["Forward"]) == (
        "100.00", "50.00", "0.00",
    )  # fmt: skip
    assert rows["watcher"]["Mean of 12 tasks"] == "50.00"  # (3 x 100 + 6 x 50) / 12
    assert rows["watcher"]["Mean of 3 groups"] == "50.00"
    assert rows["one letter for all: B"]["EPM"] == "100.00" and rows["one letter for all: B"]["REC"] == "–"
    assert rows["always yes"]["SSR"] == "100.00" and rows["always yes"]["CRR"] == "0.00"
    few = ovo_table(told(clips[:2], {"base": right[:2], "watcher": watcher[:2]}), "v2")
    assert "no mean without them" in str(few) and rows_of(few)["base"]["Mean of 12 tasks"] == "–"


def test_streaming_bench_pools_groups_and_its_controls_watch_nothing() -> None:
    asked = [("OP", "A"), ("OP", "A"), ("OP", "B"), ("ER", "A"), ("SQA", "A")]
    clips = [clip(f"q{n}", bench="streaming", subtask=task, answer=right, options=("x", "y"))
             for n, (task, right) in enumerate(asked)]  # fmt: skip
    ahead = {"bench": "streaming", "subtask": "PO", "answer": "GO", "begins": 0.0}
    clips += [clip("soon", **ahead, span=(2.0, 2.0)), clip("late", **ahead, span=(8.0, 8.0))]
    base = [said(9.0, "B")] * 5 + [said(None), said(9.0, "GO")]
    watcher = [said(9.0, text) for text in ("A", "A", "B", "A", "B")] + [said(0.5, "GO"), said(8.5, "STOP")]
    rows = rows_of(streaming_table(told(clips, {"base": base, "watcher": watcher}), "v2"))
    assert rows["watcher"]["OP"] == "100.00" and rows["base"]["OP"] == "33.33"
    # One second and a half before its moment is on time too; "STOP" is, with the wrong words.
    assert rows["watcher"]["PO"] == "100.00, 50.00" and rows["base"]["PO"] == "50.00, 50.00"
    assert rows["watcher"]["Contextual"] == "33.33" and rows["watcher"]["Overall"] == "71.43"  # 5 of 7
    assert rows["one letter for all: A"]["OP"] == "66.67" and rows["one letter for all: A"]["PO"] == "–"
    assert rows["speaks after one second"]["PO"] == "50.00, 50.00"
    strict = rows_of(streaming_table(told(clips, {"base": base, "watcher": watcher}, "paper-v1"), "paper-v1"))
    assert strict["watcher"]["SQA"] == "0.00"


def test_a_run_without_metrics_has_none_that_cannot_tell_remarks_apart() -> None:
    """Each pair of remarks has all bigrams different: a metric of long texts would fail its self-test there."""
    assert default_metrics("visual-instruction")[0] == "words"
    known = metrics_of("visual-instruction")
    assert not any(known[name].continuous for name in default_metrics("visual-instruction"))
    clips = [clip(f"c{n}", task="wake-up", span=(2.0, 5.0)) for n in range(6)]
    given = told(clips, {"base": [said(9.0, "Hello to you.")] * 6, "watcher": [said(3.0, "Good to see you.")] * 6})
    assert [test for test in given.evaluation.self_tests if not test.passed] == []


GOOD = [f"The {colour} sign is seen." for colour in ("red", "blue", "green", "amber", "white")]
TASKS = {"wake-up": 5, "anomaly": 2, "gesture": 3, "interruption": 4, "humor": 1, "termination": 5}
"""Points of each subtask: as many good sentences."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips of each subtask: the watcher is on time once, the base never; one choice of two is right."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    clips = [clip(f"{task}-{n}", task=task, span=(3.0, 5.0), reference="A person's words.", gesture="Wave",
                  turns=(Turn(speaker="user", text="Shall we?", at=0.0),))
             for task in TASKS for n in range(2)]  # fmt: skip
    choice = {"task": "reference", "options": ("Car", "Cone"), "answer": "B", "unasked": False}
    clips += [clip(f"reference-{n}", **choice) for n in range(2)]
    select = open_store(f"file://{tmp_path}/select")
    lines = "".join(one.model_dump_json() + "\n" for one in clips)
    parts = [add_part(select, "samples.jsonl", lines.encode())]
    commit(select, kind="sample-set", key="sha256:" + "1" * 64, parts=parts, counts={}, details={})
    for arm in ("base", "watcher"):
        ledger = Ledger(open_store(f"file://{tmp_path}/infer-{arm}"))
        for one in clips:
            at = 4.0 if arm == "watcher" and one.id.endswith("-0") else 9.0
            text = "B" if one.options and one.id.endswith("-0") else " ".join(GOOD[: TASKS.get(one.task, 0)])
            answer = {"outcome": "ok", "text": said(at, text), "tokens": 9, "seconds": 1, "finish": "stop"}
            ledger.put(f"{one.id}-0", answer)
    return tmp_path


def test_judges_score_the_words_of_replies_on_time_and_overall_is_time_times_text(root: Path) -> None:
    with run_judges(JudgeServer(frozenset(GOOD), key=KEY)) as server:
        spec = {
            "recipe": "visual-instruction", "samples": {"uri": "x"}, "arms": ARMS,
            "judges": [{"name": "judge", "provider": "openai", "endpointUrl": f"{server.endpoint}/v1",
                        "model": "stand-in.honest", "rubric": "visual-feedback", "concurrency": 1}],
            "prices": {"stand-in.honest": {"inputPerMillion": 10, "outputPerMillion": 100}},
            "gates": [{"metric": "visual-instruction/feedback", "arm": "watcher", "versus": "base", "min": 1}],
        }  # fmt: skip
        inputs = {"select": "select", "infer/base": "infer-base", "infer/watcher": "infer-watcher"}
        judge.run(stage_context(root, "EvalRun", "judge", spec, "judge", inputs, arm="judge"))
    prompts = ["".join(part.get("text", "") for part in one["messages"][-1]["content"]) for one in server.requests]
    assert not any("Cone" in one for one in prompts)  # a choice is no matter for a judge
    assert sum("conversation is over" in one for one in prompts) and sum("sum of description" in one for one in prompts)
    assert {"A person's words." in one for one in prompts if "the same funny event" in one} == {True}
    assert {"A person's words." in one for one in prompts if "conversation is over" in one} == {False}
    assert {"Wave" in one and "Shall we?" in one for one in prompts if "made a gesture" in one} == {True}
    result = score.run(stage_context(root, "EvalRun", "score", spec, "score", inputs | {"judge/judge": "judge"}))
    summary = result.summary.to_wire()
    assert [one["passed"] for one in summary["gates"]] == [True]
    assert summary["judges"][0]["trusted"], summary["judges"][0]["selfTest"]
    page = (root / "score" / "report.html").read_text()
    assert "CLIP model" not in page  # which nothing asked for
    rows = rows_of(page[page.index("<h3>ViSpeak-Bench</h3>") : page.index("<h2>Clips</h2>")].partition("<details>")[0])
    assert [rows["watcher"][name] for name in ("VW", "AW", "GU", "VI", "HR", "VT")] == [
        f"50.0 %, {points:.2f}" for points in TASKS.values()
    ]
    # Half of each on time, and half of the choices right: (5 + 2 + 3 + 4 + 1 + 5) / 2 / 7 + 2.5 / 7.
    assert rows["watcher"]["Overall"] == f"{(sum(TASKS.values()) / 2 + 2.5) / 7:.2f}"
    assert rows["watcher"]["Time"] == "50.00 %" and rows["base"]["Time"] == "0.00 %"
    assert rows["speaks after one second"]["Time"] == "0.00 %" and rows["speaks after one second"]["Overall"] == "–"
    metrics = {arm["name"]: {one["name"]: one.get("mean") for one in arm["metrics"]} for arm in summary["arms"]}
    assert metrics["watcher"]["visual-instruction/feedback"] == pytest.approx((20 + 5) / 14, abs=1e-3)


def test_without_judges_late_replies_are_no_zeros_that_somebody_gave(root: Path) -> None:
    spec = {"recipe": "visual-instruction", "samples": {"uri": "x"}, "arms": ARMS}
    inputs = {"select": "select", "infer/base": "infer-base", "infer/watcher": "infer-watcher"}
    result = score.run(stage_context(root, "EvalRun", "score", spec, "score", inputs))
    for arm in result.summary.to_wire()["arms"]:
        (found,) = [one for one in arm["metrics"] if one["name"] == "visual-instruction/feedback"]
        assert (found["mean"], found["count"]) == (2.5, 2)  # the choices alone
