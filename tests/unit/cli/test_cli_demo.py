"""The demonstration: which runs it follows, when it ends, and what it says of one that cannot end well."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from tests.support.told_runs import TIME, condition

from fabula_api.recipes import Kind
from fabula_cli.demo import FOLDERS, activation, applied, conclude, made, with_needed
from fabula_cli.display import Figures
from fabula_cli.following import LiveDisplay, PlainDisplay, display
from fabula_cli.home import checkout
from fabula_cli.runs import absent, finished, hopeless, score_table
from fabula_operator.plan.seen.observed import Run

SAID = """datasetbuild.fabula.dev/visual-instruction created
evalrun.fabula.dev/visual-instruction configured
finetunerun.fabula.dev/visual-instruction-align unchanged
finetunerun.fabula.dev/visual-instruction created
configmap/finetunerun.fabula.dev created
"""


def of(example: str) -> dict[tuple[Kind, str], Run]:
    """The example's objects, as a cluster would give them that has not looked at them yet."""
    root = checkout()
    assert root is not None
    files = sorted((root / "examples" / FOLDERS[example]).glob("*.yaml"))
    objects = [obj for file in files for obj in yaml.safe_load_all(file.read_text())]
    runs = (run(obj["kind"], obj["metadata"]["name"], {}, obj["spec"]) for obj in objects)
    return {named(run): run for run in runs}


def run(kind: Kind, name: str, status: dict[str, Any], spec: dict[str, Any] | None = None, generation: int = 1) -> Run:
    """The run, as a cluster gives it."""
    meta = {"namespace": "default", "name": name, "uid": f"{kind}-{name}", "generation": generation}
    return Run.from_object({"kind": kind, "metadata": meta, "spec": spec or {}, "status": status})


def named(run: Run) -> tuple[Kind, str]:
    return run.identity.kind, run.identity.name


def told(state: str, **conditions: tuple[str, str]) -> dict[str, Any]:
    """A status as the operator writes it, of conditions as (status, message); over where `Finished` is among them."""
    listed = [condition(type_, status, "Because", words) for type_, (status, words) in conditions.items()]
    end = {"finishedAt": TIME} if "Finished" in conditions else {}
    return {"state": state, "observedGeneration": 1, "conditions": listed, **end}


def said(runs: list[Run], width: int = 100) -> tuple[int, str]:
    out = io.StringIO()
    console = Console(file=out, width=width, soft_wrap=True)
    return conclude(runs, console, 1.0, stays_up=False), out.getvalue()


@pytest.mark.parametrize("example", FOLDERS)
def test_every_run_that_was_applied_is_followed_and_what_is_needed_stands_first(example: str) -> None:
    runs = of(example)
    order = [named(run) for run in with_needed(reversed(list(runs)), lambda kind, name: runs[kind, name])]
    assert set(order) == set(runs)
    assert order[0][0] == "DatasetBuild" and order[-1][0] == "EvalRun"
    if example == "visual-instruction":
        assert [name for kind, name in order if kind == "FineTuneRun"] == [f"{example}-align", example]


def test_what_was_applied_is_what_kubectl_says() -> None:
    assert applied(SAID) == [
        ("DatasetBuild", "visual-instruction"),
        ("EvalRun", "visual-instruction"),
        ("FineTuneRun", "visual-instruction-align"),
        ("FineTuneRun", "visual-instruction"),
    ]


def test_runs_that_only_others_name_are_followed_too_and_a_circle_of_names_ends() -> None:
    training = run("FineTuneRun", "a", {}, {"recipe": "visual-instruction", "dataset": {"ref": "elsewhere"},
                                            "visualInstruction": {"begin": {"ref": "a"}}})  # fmt: skip

    def look(kind: Kind, name: str) -> Run:
        return training if kind == "FineTuneRun" else absent(kind, name, "default")

    followed = with_needed([("FineTuneRun", "a")], look)
    assert [(*named(run), run.status.reason) for run in followed] == [
        ("DatasetBuild", "elsewhere", "NotFound"), ("FineTuneRun", "a", None),
    ]  # fmt: skip


def test_a_failed_run_ends_it_with_its_condition_s_message_and_what_waits_for_it() -> None:
    failed = told("Failed", Failed=("True", "spec.training.maxSteps: is too many"), Finished=("True", ""))
    runs = [
        run("DatasetBuild", "v", told("Succeeded", Finished=("True", "")), {}, 1),
        run("FineTuneRun", "v-align", failed | {"reason": "InvalidSpec"}, {}, 1),
        run("FineTuneRun", "v", told("Pending", Running=("False", "FineTuneRun v-align has failed")), {}, 1),
    ]
    assert hopeless(runs[1])
    code, words = said(runs)
    assert code == 1
    assert "FineTuneRun/v-align failed: InvalidSpec" in words
    assert "spec.training.maxSteps: is too many" in words
    assert "FineTuneRun/v is Pending: FineTuneRun v-align has failed" in words
    assert "`fabula retry FineTuneRun/v-align`" in words


def test_a_run_that_somebody_has_to_mend_ends_it_and_one_that_was_edited_since_does_not() -> None:
    status = told(
        "Pending", Stalled=("True", "spec.pixels: 1 to 2, but"), Running=("False", "spec.pixels: 1 to 2, but")
    )
    assert hopeless(run("EvalRun", "v", status, {}, 1))
    assert "EvalRun/v is Pending: spec.pixels: 1 to 2, but" in said([run("EvalRun", "v", status, {}, 1)])[1]
    old = told("Failed", Failed=("True", "x"), Finished=("True", "x"))
    assert not hopeless(run("EvalRun", "v", old, {}, 2))
    assert not finished(run("EvalRun", "v", old, {}, 2))


def test_what_several_runs_have_made_is_told_by_their_names() -> None:
    first = run("FineTuneRun", "align", {"adapter": {"uri": "file:///root/1", "digest": "x"}})
    second = run("FineTuneRun", "watcher", {"adapter": {"uri": "file:///root/2", "digest": "x"}})
    report = run("EvalRun", "watcher", {"report": {"uri": "file:///root/3", "digest": "x"}})
    assert made([first, report]) == [("adapter", "file:///root/1"), ("report", "file:///root/3/report.html")]
    assert made([first, second, report])[:2] == [
        ("adapter of align", "file:///root/1"), ("adapter of watcher", "file:///root/2"),
    ]  # fmt: skip
    whole = run("FineTuneRun", "whole", {"model": {"uri": "file:///root/4", "digest": "x"}})
    assert made([first, whole]) == [("adapter", "file:///root/1"), ("model", "file:///root/4")]


def test_who_has_no_fabula_on_the_path_is_told_how_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.prefix) / "bin"))
    assert activation() == ""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    assert activation() == f"`source {sys.prefix}/bin/activate`, "
    monkeypatch.chdir(Path(sys.prefix).parent)
    assert activation() == f"`source {Path(sys.prefix).name}/bin/activate`, "


def test_lines_without_a_terminal_go_on_by_the_clock_of_those_before() -> None:
    before = PlainDisplay(console := Console(file=io.StringIO()))
    assert display(console, before) is before
    live = display(Console(file=io.StringIO(), force_terminal=True), before)
    assert isinstance(live, LiveDisplay)


METRICS = [
    {"name": "visual-instruction/time-accuracy-of-replies", "mean": 0.0167, "low": 0.0, "high": 0.05},
    {"name": "visual-instruction/time-accuracy-of-words", "mean": 0.81, "low": 0.7, "high": 0.92},
]
EVALUATED = run("EvalRun", "visual-instruction", {
    "arms": [{"name": name, "done": 30, "metrics": METRICS} for name in ("base", "watcher-instruct")],
})  # fmt: skip


@pytest.mark.parametrize("width", [200, 100, 60, 40])
def test_no_name_and_no_figure_of_the_result_is_cut(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, soft_wrap=True).print(Figures(score_table(EVALUATED), "Base against tuned"))
    words = out.getvalue()
    assert "…" not in words
    for name in ("base", "watcher-instruct", *(str(one["name"]) for one in METRICS)):
        assert name in words, words
    assert words.count("[0.7, 0.92]") == 2 and words.count("0.81") == 2
    assert all(len(line) <= width for line in words.splitlines()) or width == 40


@pytest.mark.parametrize("width", [120, 60])
def test_two_runs_at_work_can_be_told_apart_on_a_narrow_terminal(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    doing = {"state": "Running", "progress": {"summary": "step 12/40 of a training that takes long", "eta": "2m10s"}}
    with LiveDisplay(console) as display:
        display.show([run("FineTuneRun", name, doing) for name in ("visual-instruction-align", "visual-instruction")])
    last = out.getvalue().rpartition("RUN")[2]
    assert "FineTuneRun/visual-instruction-align" in last and "…" not in last
    assert "2m10s" in last
