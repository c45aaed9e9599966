"""CRITIC by a judge: whom sentences are about is asked of answers and references, and kept like any verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.judge_server import JudgeServer, run_judges
from tests.support.stage_context import stage_context

from fabula_api.judging import plan_of
from fabula_api.specs import parse_spec
from fabula_workloads.judging.figures import JudgeFigures, points_of
from fabula_workloads.metrics.answer_form import PLAIN
from fabula_workloads.metrics.materials import Materials
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.recipes.audio_description.scoring.context import critic
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.samples.sample_set import read_sample_set
from fabula_workloads.stages import judge
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


def test_the_metric_is_what_the_judge_found_and_names_it(root: Path) -> None:
    with run_judges(Reader(frozenset())) as server:
        spec = spec_of(server)
        judge.run(context_of(root, spec, "judge", "judge", "reader"))
    judged = read_judges(context_of(root, spec, "score", "score"), parse_spec("EvalRun", spec))  # type: ignore[arg-type]
    from fabula_workloads.recipes.audio_description.held_out import NarrationEvaluationSample

    samples = read_sample_set(open_store(f"file://{root}/select"), NarrationEvaluationSample)
    answers = [GivenAnswer(arm, f"c{n}", 0, text) for arm, said in SAID.items() for n, text in enumerate(said)]
    found = critic(
        Materials(
            parse_spec("EvalRun", spec), ["v2"], answers, {}, {one.id: one for one in samples}, PLAIN,  # type: ignore[arg-type]
            lambda *_: (root, ""), lambda: None, None, points_of(judged),
        )
    )  # fmt: skip
    assert found.value("v2", ("base", "c3", 0)) == 0.5 and found.value("v2", ("tuned", "c1", 0)) == 1.0
    assert found.value("v2", ("tuned", "c2", 0)) is None, "its reference is about nobody"
    assert found.label == "whom sentences are about says reader"


def test_a_judge_that_cannot_be_read_gives_no_points_and_is_counted_apart(root: Path) -> None:
    with run_judges(JudgeServer(frozenset())) as server:
        spec = spec_of(server, model="stand-in.mute")
        made = judge.run(context_of(root, spec, "judge", "judge", "reader"))
    assert made.counts["verdict/failed/Unreadable"] == 16
    found = figures(root, spec)
    assert (found.unread, found.points["tuned"], found.self_test.passed) == (12, {}, False)
