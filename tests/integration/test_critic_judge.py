"""CRITIC by a judge: whom sentences are about is asked of answers and references, and kept like any verdict."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.judge_server import JudgeServer, run_judges
from tests.support.stage_context import stage_context

from fabula_api.judging import plan_of
from fabula_api.specs import parse_spec
from fabula_workloads.judging.figures import JudgeFigures
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages import judge, score
from fabula_workloads.stages.judged import read_judges

REFERENCES = ("Joey opens the door.", "He sits down.", "A dog barks.", "Ross waves at Joey.")
SAID = {
    "base": ("A man opens a door.", "He sits.", "A dog.", "Ross waves."),
    "tuned": ("Joey opens a door.", "He sits.", "Joey barks.", "Ross waves at Joey."),
}
ARMS = [{"name": name, "model": {"name": "m"}} for name in SAID]


class Reader(JudgeServer):
    """Tells whom the sentence behind >>> is about: who is named in it, and whom `he` means, who was named last."""

    def reply(self, model: str, text: str, content: str) -> str:
        keys = dict(re.findall(r'^- "(character-\d+)": .*about (\w+), else', text, re.M))
        (shown,) = re.findall(r"<answer>\n(.*?)\n</answer>", text, re.S)
        *before, sentence = shown.split("\n")
        named = {name for name in keys.values() if re.search(rf"\b{name}\b", sentence)}
        if re.search(r"\b[Hh]e\b", sentence):
            named |= set([name for one in before for name in re.findall(r"\w+", one) if name in keys.values()][-1:])
        marks = {key: int(name in named) for key, name in keys.items()}
        return json.dumps({"reason": "Read.", **marks, "overall": int(bool(named))})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    people = [{"id": f"nm{n}", "role": name, "short_name": name} for n, name in enumerate(("Joey", "Ross"))]
    lines = [
        {"id": f"c{n}", "reference": text, "source": "tvad", "film": "clip", "title": "tt1", "start": n, "end": n + 1,
         "features": "f", "characters": people, "named": re.findall("Joey|Ross", text)}
        for n, text in enumerate(REFERENCES)
    ]  # fmt: skip
    select = open_store(f"file://{tmp_path}/select")
    parts = [add_part(select, "samples.jsonl", "\n".join(map(json.dumps, lines)).encode())]
    commit(select, kind="sample-set", key="sha256:" + "1" * 64, parts=parts, counts={}, details={})
    for arm, said in SAID.items():
        ledger = Ledger(open_store(f"file://{tmp_path}/infer-{arm}"))
        for number, text in enumerate(said):
            ledger.put(f"c{number}-0", {"outcome": "ok", "text": text, "tokens": 9, "seconds": 1, "finish": "stop"})
    return tmp_path


def spec_of(server: JudgeServer, **fields: Any) -> dict[str, Any]:
    asked = {"name": "reader", "provider": "openai", "endpointUrl": f"{server.endpoint}/v1", "model": "m", "probes": 2}
    return {
        "recipe": "audio-description", "samples": {"uri": "x", "count": 4}, "arms": ARMS,
        "metrics": ["audio-description/critic"], "judges": [asked | {"rubric": "critic", "temperature": 0} | fields],
    }  # fmt: skip


def context_of(root: Path, spec: dict[str, Any], stage: str, output: str, arm: str | None = None) -> StageContext:
    inputs = {"select": "select", "infer/base": "infer-base", "infer/tuned": "infer-tuned"}
    if stage == "score":
        inputs["judge/reader"] = "judge"
    return stage_context(root, "EvalRun", stage, spec, output, inputs, arm=arm)


def figures(root: Path, spec: dict[str, Any]) -> JudgeFigures:
    (found,) = read_judges(context_of(root, spec, "score", "score"), parse_spec("EvalRun", spec)).judges  # type: ignore[arg-type]
    return found


def test_a_judge_says_whom_sentences_are_about_and_the_overlap_is_the_figure(root: Path) -> None:
    with run_judges(Reader(frozenset())) as server:
        spec = spec_of(server)
        made = judge.run(context_of(root, spec, "judge", "judge", "reader"))
        assert made.counts["verdict/ok"] == server.paid == 3 * 4 + 2 * 2
        judge.run(context_of(root, spec, "judge", "judge", "reader"))
        assert server.paid == 16, "a judge that starts again pays for nothing twice"
        assert all(request["temperature"] == 0 for request in server.requests)
    found = figures(root, spec)
    assert found.self_test.passed and found.self_test.tried == 2
    assert found.points == {"base": {"c0": 0.0, "c1": 0.0, "c3": 0.5}, "tuned": {"c0": 1.0, "c1": 1.0, "c3": 1.0}}
    assert found.means["tuned"].mean == 1.0 and found.means["base"].mean == pytest.approx(1 / 6)
    asked = parse_spec("EvalRun", spec)
    assert plan_of(asked, asked.judges[0]).calls == 16  # type: ignore[union-attr, arg-type]


def test_the_metric_is_what_the_judge_found_over_clips_and_over_titles(root: Path) -> None:
    with run_judges(Reader(frozenset())) as server:
        gates = [{"metric": "audio-description/critic", "arm": "tuned", "min": 0.9},
                 {"metric": "judge/reader", "arm": "tuned", "min": 0.9}]  # fmt: skip
        spec = spec_of(server) | {"gates": gates}
        judge.run(context_of(root, spec, "judge", "judge", "reader"))
    made = score.run(context_of(root, spec, "score", "score"))
    assert made.summary is not None
    rows = {
        (row["metric"], row["arm"], row["film"]): (row["clips"], row["mean"])
        for row in csv.DictReader((root / "score/films.csv").open())
    }
    assert rows["audio-description/critic", "tuned", "(clips)"] == ("3", "1.0")
    assert float(rows["audio-description/critic", "base", "tt1"][1]) == pytest.approx(1 / 6)
    told = json.loads((root / "score/report.json").read_text())
    assert [gate["passed"] for gate in told["gates"]] == [True, True]
    html = (root / "score/report.html").read_text()
    assert "whom sentences are about says reader" in html and "Over films" in html


def test_a_judge_that_cannot_be_read_gives_no_points_and_is_counted_apart(root: Path) -> None:
    with run_judges(JudgeServer(frozenset())) as server:
        spec = spec_of(server, model="stand-in.mute")
        made = judge.run(context_of(root, spec, "judge", "judge", "reader"))
    assert made.counts["verdict/failed/Unreadable"] == 16
    found = figures(root, spec)
    assert (found.unread, found.points["tuned"], found.self_test.passed) == (12, {}, False)


def test_points_for_what_is_told_are_greedy_and_of_several_tries_and_what_cannot_be_read_is_none(root: Path) -> None:
    """LLM-AD-Eval: the published judge drew at temperature 1 and took a reply that it could not read for no points."""

    class Points(JudgeServer):
        def reply(self, model: str, text: str, content: str) -> str:
            (meant,) = re.findall(r"<reference>\n(.*?)\n</reference>", text, re.S)
            (said,) = re.findall(r"<answer>\n(.*?)\n</answer>", text, re.S)
            if meant.startswith("A dog"):
                return "{'score': five}"
            shared = len(set(meant.split()) & set(said.split()))
            return json.dumps({"reason": "Counted.", "events": 1, "overall": min(5, shared)})

    with run_judges(Points(frozenset())) as server:
        spec = spec_of(server, rubric="llm-ad-eval", tries=2, probes=2)
        made = judge.run(context_of(root, spec, "judge", "judge", "reader"))
        assert {request["temperature"] for request in server.requests} == {0}
        assert not any("picture" in str(request["messages"]) for request in server.requests)
    found = figures(root, spec)
    assert made.counts["verdict/failed/Unreadable"] == found.unread == 2
    assert found.points["tuned"] == {"c0": 3.0, "c1": 1.0, "c3": 4.0}, "no points are none, and not zero"
    assert found.means["tuned"].count == 3
    tries = [one for one in found.reasons["c0", 0] if one.shown == ("tuned",)]
    assert [one.attempt for one in tries] == [0, 1]
