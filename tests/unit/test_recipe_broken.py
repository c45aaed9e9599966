"""A recipe that is installed and cannot be used: operator, command and worker say so alike, and only its runs wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import typer
from tests.support.observations import NOW, condition, observed, step
from tests.support.told_runs import manifest

from fabula_api import generate
from fabula_api.recipes import ENTRY_POINTS, broken, loading, recipes
from fabula_cli.commands.init import init
from fabula_cli.commands.validate import judge
from fabula_cli.diagnosis import Facts
from fabula_cli.diagnosis import judge as judge_cluster
from fabula_cli.documents import documents
from fabula_operator.plan.lifecycle import plan
from fabula_workloads.recipe_parts import parts_of
from fabula_workloads.runtime.entry import parse_config
from fabula_workloads.runtime.failures import ConfigInvalid

SAID = "recipe captions of an unnamed package cannot be used: captions.recipe:CAPTIONS cannot be imported: ModuleNotF"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    point = EntryPoint("captions", "captions.recipe:CAPTIONS", ENTRY_POINTS)
    now = loading.Installed(recipes(), loading.load([point]).broken)
    monkeypatch.setattr(loading, "installed", lambda: now)
    yield
    assert list(broken()) == ["captions"]


def test_a_run_of_it_waits_and_says_what_to_mend() -> None:
    made = plan(observed("DatasetBuild", {"recipe": "captions"}), NOW)
    assert made.actions == ()
    assert made.status is not None and (made.status.state, made.status.reason) == ("Pending", "RecipeBroken")
    assert condition(made.status, "Accepted") == ("Unknown", "RecipeBroken")
    assert condition(made.status, "Stalled") == ("True", "RecipeBroken")
    assert condition(made.status, "Finished")[0] == "False"
    (told,) = (one.message for one in made.status.conditions if one.type == "Running")
    assert told.startswith(f"spec.recipe: {SAID}")


def test_what_already_runs_of_it_is_left_alone() -> None:
    seen, _ = step(observed("DatasetBuild"))
    assert len(seen.pods) == 1
    upgraded = replace(seen, run=replace(seen.run, spec={**seen.run.spec, "recipe": "captions"}))
    made = plan(upgraded, NOW)
    assert made.actions == ()
    assert made.status is not None and made.status.started_at is not None
    assert (made.status.state, made.status.stages) == ("Running", seen.run.status.stages)
    assert condition(made.status, "Finished")[0] == "False"


def test_a_run_of_another_recipe_goes_on() -> None:
    made = plan(observed("DatasetBuild"), NOW)
    assert condition(made.status, "Accepted")[0] == "True" and made.actions


def test_validate_and_init_name_it() -> None:
    text = json.dumps(manifest("EvalRun", "one", recipe="captions", captions={"tone": "dry"}))
    (document,) = documents("run.yaml", text)
    (problem,) = judge(document, "file:///artifacts").problems
    assert problem.field == "spec.recipe" and problem.message.startswith(SAID)
    with pytest.raises(typer.Exit):
        init("evr", recipe="captions")


def test_the_doctor_names_it() -> None:
    checks = judge_cluster(Facts("default", recipes=["podcast"], broken_recipes=list(broken().values())), NOW)
    told = [(one.state, one.said) for one in checks if one.about == "recipes"]
    assert told[0][0] == "MISSING" and told[0][1].startswith(SAID)
    assert told[1] == ("OK", "this command has podcast")


def test_a_worker_names_it_and_is_not_tried_again() -> None:
    config = {"run": {"kind": "DatasetBuild"}, "spec": {"recipe": "captions", "captions": {}}}
    with pytest.raises(ConfigInvalid, match=f"^{SAID}"):
        parse_config(json.dumps(config))
    with pytest.raises(ConfigInvalid, match=f"^{SAID}"):
        parts_of("captions")


def test_nothing_is_generated_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 1
    assert SAID in capsys.readouterr().err
