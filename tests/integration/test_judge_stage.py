"""Stage `judge` against servers that speak both formats over HTTP, and judge with habits that are known."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.judge_server import KEY, JudgeServer, run_judges
from tests.support.stage_context import stage_context

from fabula_api.eval_run import EvalRunSpec
from fabula_api.judging import plan_of
from fabula_api.summary import ScoreSummary
from fabula_workloads.judging.figures import JudgeFigures
from fabula_workloads.judging.people import human_outcomes
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, TryAgain
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.stages import judge, score
from fabula_workloads.stages.judged import read_judges

SAMPLES = 12
GOOD = [f"The {colour} kite climbs over the harbour." for colour in ("red", "blue", "green", "amber", "white", "black")]
PRICE = {"inputPerMillion": 10, "outputPerMillion": 100}
USD_OF_A_CALL = (100 * 10 + 20 * 100) / 1e6


def dialogue(sentences: list[str], label: str = "Speaker {}") -> str:
    return "\n".join(f"**{label.format(1 + i % 2)}:** {one}" for i, one in enumerate(sentences))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve samples of two pictures, with answers of two arms: the tuned one is better, and not longer."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-west-2",
                        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
                        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "OPENAI_API_KEY": KEY}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    select = open_store(f"file://{tmp_path}/select")
    lines, parts = [], []
    for number in range(SAMPLES):
        images = [f"images/{number}-{place}.png" for place in (1, 2)]
        for place, image in enumerate(images):
            data = io.BytesIO()
            Image.effect_noise((64, 48), 20 + number + 50 * place).convert("RGB").save(data, "PNG")
            parts.append(add_part(select, image, data.getvalue()))
        lines.append(json.dumps({"id": f"s{number:02}", "images": images, "reference": GOOD[0]}))
    parts.append(add_part(select, "samples.jsonl", "\n".join(lines).encode()))
    commit(select, kind="sample-set", key="sha256:" + "1" * 64, parts=parts, counts={}, details={})
    for arm in ("base", "tuned"):
        ledger = Ledger(open_store(f"file://{tmp_path}/infer-{arm}"))
        for number in range(SAMPLES):
            says = [*GOOD[:3], "So it goes."] if arm == "tuned" else [*GOOD[:2], "It is what it is.", "And so on."]
            text = dialogue(says, "Speaker {}" if arm == "tuned" else "HOST {}")
            if number == 0 and arm == "base":
                ledger.put("s00-0", {"outcome": "failed", "reason": "OutOfMemory"})
            else:
                ledger.put(
                    f"s{number:02}-0", {"outcome": "ok", "text": text, "tokens": 9, "seconds": 1, "finish": "stop"}
                )
    return tmp_path


def spec_of(server: JudgeServer, *habits: str, provider: str = "openai", **fields: Any) -> dict[str, Any]:
    endpoint = server.endpoint + ("/v1" if provider == "openai" else "")
    judges = [
        {"name": habit, "provider": provider, "endpointUrl": endpoint, "model": f"stand-in.{habit}"}
        | fields.get("judge", {})
        for habit in habits
    ]
    arms = [{"name": name, "model": {"name": "m"}} for name in ("base", "tuned")]
    rest = {key: value for key, value in fields.items() if key != "judge"}
    prices = {one["model"]: PRICE for one in judges}
    return {"samples": {"uri": "x", "count": SAMPLES}, "arms": arms, "judges": judges, "prices": prices, **rest}


def context_of(root: Path, spec: dict[str, Any], name: str, **place: int) -> StageContext:
    inputs = {"select": "select", "infer/base": "infer-base", "infer/tuned": "infer-tuned"}
    return stage_context(root, "EvalRun", "judge", spec, f"judge-{name}", inputs, arm=name, **place)


def figures(root: Path, spec: dict[str, Any], *names: str) -> list[JudgeFigures]:
    inputs = {"select": "select", "infer/base": "infer-base", "infer/tuned": "infer-tuned"}
    inputs |= {f"judge/{name}": f"judge-{name}" for name in names}
    context = stage_context(root, "EvalRun", "score", spec, "score", inputs)
    asked = context.config.spec
    assert isinstance(asked, EvalRunSpec)
    return read_judges(context, asked).judges


@pytest.mark.parametrize("provider", ["openai", "bedrock"])
def test_a_judge_sees_pictures_and_no_names_and_finds_the_better_arm(root: Path, provider: str) -> None:
    with run_judges(JudgeServer(frozenset(GOOD), throttled=2, key=KEY)) as server:
        spec = spec_of(server, "honest", provider=provider)
        result = judge.run(context_of(root, spec, "honest"))
    (found,) = figures(root, spec, "honest")
    (pair,) = found.pairs
    assert (pair.arm, pair.versus, pair.win_rate.mean, pair.win_rate.count) == ("tuned", "base", 1.0, SAMPLES - 1)
    assert found.self_test.passed, found.self_test
    assert found.first.mean == 0.5
    assert pair.criteria["grounding"].mean == 1.0
    calls = (SAMPLES - 1) * 2 + 6 * 4
    assert server.paid == calls == result.counts["calls/paid"]
    assert found.usd == pytest.approx(calls * USD_OF_A_CALL)
    assert result.counts["verdict/ok"] == SAMPLES - 1 + 12
    for request in server.requests:
        parts = request["messages"][-1]["content"]
        assert sum("image" in part or part.get("type") == "image_url" for part in parts) == 2
        said = "".join(part.get("text", "") for part in parts)
        assert "Speaker 1: " in said
        assert not any(word in said for word in ("tuned", "base", "HOST", "**", "stand-in"))
    planned = plan_of(EvalRunSpec.model_validate(spec), EvalRunSpec.model_validate(spec).judges[0])
    assert planned.calls == calls + 2  # of the sample without an answer


def test_habits_are_found_out_and_named(root: Path) -> None:
    habits = ("honest", "first", "longer", "random")
    with run_judges(JudgeServer(frozenset(GOOD))) as server:
        spec = spec_of(server, *habits)
        for habit in habits:
            judge.run(context_of(root, spec, habit))
    found = {one.name: one.self_test for one in figures(root, spec, *habits)}
    assert [name for name, test in found.items() if test.passed] == ["honest"]
    assert "the first answer" in found["first"].message
    assert "the longer answer" in found["longer"].message
    assert "guess" in found["random"].message


def test_a_killed_judge_goes_on_and_no_verdict_is_paid_twice(root: Path) -> None:
    with run_judges(JudgeServer(frozenset(GOOD))) as server:
        spec = spec_of(server, "honest", judge={"concurrency": 3, "shards": 2})
        for number in (5, 17, 10_000):
            for shard in (0, 1):
                context = context_of(root, spec, "honest", shard=shard, shards=2)
                server.on_paid = lambda paid, stop=number, of=context: of.stopping.set() if paid >= stop else None
                with contextlib.suppress(TryAgain):
                    judge.run(context)
    assert set(server.bodies.values()) == {1}
    assert server.paid == (SAMPLES - 1) * 2 + 24
    assert len(list((root / "judge-honest/calls").rglob("*.json"))) == server.paid


def test_what_cannot_be_read_is_asked_again_and_then_counted_apart(root: Path) -> None:
    with run_judges(JudgeServer(frozenset(GOOD))) as server:
        spec = spec_of(server, "garbled", "mute")
        garbled = judge.run(context_of(root, spec, "garbled"))
        assert garbled.counts["verdict/ok"] == SAMPLES - 1 + 12
        mute = judge.run(context_of(root, spec, "mute"))
        assert mute.counts["verdict/failed/Unreadable"] == SAMPLES - 1 + 12
    by_name = {one.name: one for one in figures(root, spec, "garbled", "mute")}
    assert by_name["garbled"].pairs[0].win_rate.mean == 1.0
    assert by_name["mute"].pairs[0].win_rate.mean is None
    assert by_name["mute"].unread == SAMPLES - 1
    assert not by_name["mute"].self_test.passed


def test_a_scale_gives_points_and_a_constant_is_found_out(root: Path) -> None:
    rubric = {"name": "points", "task": "Say what happens.", "scale": {}, "reference": True}
    with run_judges(JudgeServer(frozenset(GOOD))) as server:
        spec = spec_of(server, "honest", "constant", judge={"rubric": "points"}, rubrics=[rubric])
        for name in ("honest", "constant"):
            judge.run(context_of(root, spec, name))
    honest, constant = figures(root, spec, "honest", "constant")
    assert {arm: one.mean for arm, one in honest.means.items()} == {"base": 2.0, "tuned": 3.0}
    assert honest.pairs[0].win_rate.mean == 1.0
    assert honest.self_test.passed
    assert "the same of everything" in constant.self_test.message
    assert all("<reference>" in request["messages"][-1]["content"][-1]["text"] for request in server.requests)


def test_a_budget_ends_it_and_a_higher_one_goes_on(root: Path) -> None:
    with run_judges(JudgeServer(frozenset(GOOD))) as server:
        # A call is held at its worst before it is sent: two pictures, the prompt, and the longest reply.
        fields = {"judge": {"maxTokens": 128, "concurrency": 1}}
        spec = spec_of(server, "honest", budget={"usd": 0.1}, **fields)
        result = judge.run(context_of(root, spec, "honest"))
        left, paid = result.counts["judge/left/BudgetReached"], server.paid
        assert 0 < paid < 46
        assert server.paid * USD_OF_A_CALL <= 0.1
        (found,) = figures(root, spec, "honest")
        assert found.left == left > 0
        judge.run(context_of(root, spec_of(server, "honest", budget={"usd": 5}, **fields), "honest"))
    assert set(server.bodies.values()) == {1}
    assert server.paid == 46


def test_what_every_call_would_meet_ends_the_stage_with_the_field(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_judges(JudgeServer(frozenset(GOOD), key=KEY)) as server:
        spec = spec_of(server, "honest")
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(CredentialsRefused, match="OPENAI_API_KEY"):
            judge.run(context_of(root, spec, "honest"))
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        newest = spec_of(server, "honest", judge={"model": "newest.honest"})
        judge.run(context_of(root, newest, "honest"))  # which takes the limit of tokens by another name
        assert server.paid == 46
        host = re.escape(server.endpoint.removeprefix("http://"))
        with pytest.raises(
            ConfigInvalid, match=rf"^{host} refused all \d+ calls alike \(400\), saying .*temperature is not"
        ):
            judge.run(context_of(root, spec_of(server, "odd", judge={"model": "odd.honest"}), "odd"))
        with pytest.raises(ConfigInvalid, match=r"judges\[honest\].endpointUrl"):
            judge.run(context_of(root, spec_of(server, "honest", judge={"endpointUrl": "ftp://x"}), "honest"))


def test_the_report_tells_what_judges_said_beside_each_sample(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(root / "tracked"))
    people = root / "people"
    people.mkdir()
    rows = [f"s{number:02},tuned,base,{'tuned' if number else 'tie'}" for number in range(SAMPLES)]
    (people / "anna.csv").write_text("\n".join(["sample,arm,versus,verdict", *rows]))
    with run_judges(JudgeServer(frozenset(GOOD))) as server:
        gates = [
            {"metric": metric, "arm": arm, "min": 0.5}
            for metric, arm in (
                ("judge/honest", "tuned"), ("judge-controlled/honest", "tuned"), ("judge/honest", "base"),
                ("judge/first", "tuned"),
            )
        ]  # fmt: skip
        spec = spec_of(
            server, "honest", "first", metrics=["words"], humanVerdicts={"uri": "people"}, gates=gates, baseline="base"
        )
        for name in ("honest", "first"):
            judge.run(context_of(root, spec, name))
    inputs = {"select": "select", "infer/base": "infer-base", "infer/tuned": "infer-tuned"}
    inputs |= {f"judge/{name}": f"judge-{name}" for name in ("honest", "first")}
    result = score.run(stage_context(root, "EvalRun", "score", spec, "score", inputs))
    told = ScoreSummary.model_validate(result.summary.model_dump(by_alias=True))
    honest, first = told.judges
    assert honest.trusted
    assert honest.pairs[0].win_rate == 1.0
    assert first.trusted is False
    assert (first.first, first.consistent) == (1.0, 0.0)
    assert "people" not in first.agreement or first.agreement["people"] == 0
    # Better than half; base against itself was not asked; and nothing rests on a judge that does not judge.
    assert [(gate.passed, gate.value is None) for gate in told.gates] == [
        (True, False), (True, False), (False, True), (False, False)
    ]  # fmt: skip
    assert told.gates[2].reason == (
        "judge honest was not asked about base against base; with pairs: all it is asked about all"
    )
    assert (told.gates[3].reason or "").startswith("judge first failed its self-test: it takes the first answer")
    assert len(result.to_worker_result("x").encode()) <= 4096
    html = (root / "score/report.html").read_text()
    assert "first failed its self-test, and no gate rests on it: it takes the first answer" in html
    assert "2 of 4 gates failed; honest (100%) preferred tuned to base; first failed its self-test; " in html
    assert "Why: judge first failed its self-test: it takes the first answer" in html
    assert html.count("Because of the harbour.") == (SAMPLES - 1) * 2 * 2
    assert "honest and people" in html
    document = json.loads((root / "score/report.json").read_text())
    assert document["judges"][0]["pairs"][0]["winRate"]["mean"] == 1.0
    trackers_were_told_figures_alone(root / "tracked")
    assert (root / "score/verdicts.csv").read_text().splitlines()[1] == "honest,s01,0,tuned,base,tuned,1"


def trackers_were_told_figures_alone(folder: Path) -> None:
    """The means, the judges' win rates and the gates; no word of an answer or a judge."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = folder.iterdir()
    events = EventAccumulator(str(run)).Reload()
    told = {name: events.Scalars(name)[0].value for name in events.Tags()["scalars"]}
    assert told["judge/honest/tuned-base"] == 1
    assert (told["judge/honest/trusted"], told["judge/first/trusted"]) == (1, 0)
    assert (told["gates/passed"], told["gates/failed"]) == (2, 2)
    assert {"tuned/words", "tuned/words.low", "tuned-base/words", "tuned-base/words.p", "base/failed"} <= told.keys()
    content = b"".join(path.read_bytes() for path in run.iterdir())
    assert not any(word in content for word in (b"kite", b"harbour", b"Speaker"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample,arm,versus\ns01,tuned,base", "a.csv has no column verdict"),
        (
            "sample,arm,versus,verdict\ns01,tuned,base,better",
            "a.csv line 2: verdict is 'better'",
        ),
        ("sample,arm,versus,verdict,seed\ns01,tuned,base,tie,x", "a.csv line 2: seed is 'x'"),
    ],
)
def test_human_verdicts_that_are_none_are_named_by_file_and_line(text: str, said: str) -> None:
    with pytest.raises(InputInvalid, match=re.escape(said)):
        human_outcomes({"a.csv": text.encode()}, [("tuned", "base")], 0)


def test_human_verdicts_are_turned_and_averaged_over_raters() -> None:
    rows = ["sample,arm,versus,verdict,rater", "a,base,tuned,tuned,x", "a,tuned,base,tie,y", "b,tuned,base,tie,x"]
    found = human_outcomes({"a.csv": "\n".join(rows).encode()}, [("tuned", "base")], 7)
    assert found == {("tuned", "base", "a", 7): "win", ("tuned", "base", "b", 7): "tie"}
