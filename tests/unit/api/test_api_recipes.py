"""Recipes are found by their entry points, and whatever is wrong with one is told at once, by name."""

from __future__ import annotations

import copy
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

import pytest

from fabula_api.columns import columns
from fabula_api.crd import spec_schema
from fabula_api.eval_run import EvalRunSpec
from fabula_api.metrics import METRICS
from fabula_api.recipes import (
    API_KINDS,
    ENTRY_POINTS,
    HELD_OUT,
    Column,
    Kind,
    Recipe,
    RecipesBroken,
    default_metrics,
    metrics_of,
    recipes,
    sample_format,
)
from fabula_api.recipes.loading import load
from fabula_api.recipes.platform import EVALUATION
from fabula_api.recipes.soundness import problem_of
from fabula_api.specs import parse_spec
from fabula_local.schema.cel import CelRules
from fabula_local.schema.structural import apply_defaults
from fabula_operator.plan.acceptance.spec import meaningless
from fabula_operator.plan.lifecycle.accept import infeasible


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINTS)


def test_fabulas_own_recipe_is_found_as_anybody_elses() -> None:
    assert "podcast" in recipes()


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([_point("captions", "no_such_package:CAPTIONS")], "captions of .*: no_such_package:CAPTIONS cannot be imp"),
        ([_point("captions", "fabula_api.recipes:CAPTIONS")], "captions of .* cannot be imported: AttributeError"),
        ([_point("captions", "fabula_api.recipes:stages_of")], "captions of .* is a function and no Recipe"),
        ([_point("captions", "fabula_api.recipes.podcast:PODCAST")], "is the recipe podcast; an entry point has its"),
        (
            [_point("podcast", "fabula_api.recipes.podcast:PODCAST")] * 2,
            "recipe podcast cannot be used: .* bring it; uninstall all of them but one",
        ),
        ([], "no recipe is installed"),
        ([_point("two", "nowhere:B"), _point("one", "nowhere:A")], r"recipe one of .*; recipe two of "),
    ],
    ids=["no module", "no object", "no recipe", "another's name", "twice", "none", "several"],
)
def test_where_nothing_can_be_used_each_program_says_why(
    monkeypatch: pytest.MonkeyPatch, points: list[EntryPoint], said: str
) -> None:
    monkeypatch.setattr("fabula_api.recipes.loading.installed", lambda: load(points))
    with pytest.raises(RecipesBroken, match=said):
        recipes()


BLIND = Recipe(name="blind", stages={"EvalRun": EVALUATION}, offers=("text",), unused={"EvalRun": ("pixels", "prompt")})
"""Its model sees no picture."""
RUN = {"recipe": "blind", "samples": {"uri": "s"}, "arms": [{"name": "base", "model": {"uri": "m"}}]}


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    known = MappingProxyType({**recipes(), "blind": BLIND})
    for module in (
        "fabula_api.recipes.loading",
        "fabula_api.specs",
        "fabula_api.crd",
        "fabula_operator.plan.acceptance.evaluation",
        "fabula_operator.plan.acceptance.spec",
    ):
        monkeypatch.setattr(f"{module}.recipes", lambda: known)


@pytest.mark.usefixtures("blind")
class TestAnEvaluationOfARecipe:
    def test_has_the_metrics_that_read_what_it_offers(self) -> None:
        assert set(metrics_of("blind")) == {name for name, one in METRICS.items() if one.reads == "text"}
        assert {"words", "readability"} <= set(metrics_of("blind"))
        assert not {"turns", "picture-words", "clip-score"} & set(metrics_of("blind"))
        asked = parse_spec("EvalRun", RUN)
        assert isinstance(asked, EvalRunSpec) and asked.metrics == list(default_metrics("blind"))
        assert {"turns", "format-compliance", "clip-score"} <= set(default_metrics("podcast"))

    def test_takes_the_first_layout_and_refuses_one_that_it_cannot_read(self) -> None:
        assert sample_format(parse_spec("EvalRun", RUN)) == HELD_OUT.name  # type: ignore[arg-type]
        assert sample_format(parse_spec("EvalRun", RUN | {"recipe": "podcast"})) == "vist"  # type: ignore[arg-type]
        other = parse_spec("EvalRun", RUN | {"samples": {"uri": "s", "format": "vist"}})
        refused = infeasible(other)
        assert refused is not None
        assert refused.message == "spec.samples.format: the recipe blind reads no vist; it reads dataset"

    @pytest.mark.parametrize("given", [{"pixels": {"maxPixels": 50176}}, {"prompt": "Say what it is."}])
    def test_refuses_a_field_that_says_nothing_under_it(self, given: dict[str, object]) -> None:
        assert meaningless(parse_spec("EvalRun", RUN)) is None
        (field,) = given
        problem = f"spec.{field}: it says nothing under recipe blind; leave it out"
        assert meaningless(parse_spec("EvalRun", RUN | given)) == problem
        rules = [
            rule for rule in spec_schema("EvalRun")["x-kubernetes-validations"] if rule.get("fieldPath") == f".{field}"
        ]
        assert f"{field} says nothing under recipe blind; leave it out" in [rule["message"] for rule in rules]

    def test_refuses_a_metric_that_reads_what_it_does_not_have(self) -> None:
        refused = infeasible(parse_spec("EvalRun", RUN | {"metrics": ["turns"]}))
        assert refused is not None
        assert (
            "spec.metrics[0]: turns reads dialogue, which evaluations of the recipe blind do not have"
            in refused.message
        )

    def test_refuses_a_gate_on_what_is_not_computed(self) -> None:
        gates = {"gates": [{"metric": "clip-score", "arm": "base", "min": 1}]}
        refused = infeasible(parse_spec("EvalRun", RUN | gates))
        assert refused is not None
        assert refused.message.startswith("spec.gates[0].metric: clip-score is not computed")


def test_the_last_stage_of_a_kind_says_what_its_status_shows() -> None:
    silent = (*EVALUATION[:-1], replace(EVALUATION[-1], summary=type(EVALUATION[0].summary())))
    assert problem_of(BLIND) is None
    told = problem_of(replace(BLIND, stages={"EvalRun": silent}))
    assert told == "its EvalRun ends with score, whose summary is Summary, no ScoreSummary"


NARRATED = {"recipe": "audio-description"}
TUNE = {**NARRATED, "dataset": {"ref": "d"}, "model": {"name": "m"}}


def test_a_block_in_which_nothing_has_to_be_said_may_be_left_out() -> None:
    left_out, empty = parse_spec("FineTuneRun", TUNE), parse_spec("FineTuneRun", {**TUNE, "audioDescription": {}})
    assert left_out == empty
    needed = {
        kind: [rule["message"] for rule in spec_schema(kind)["x-kubernetes-validations"] if "needs" in rule["message"]]
        for kind in API_KINDS
    }
    assert "recipe audio-description needs the block audioDescription" in needed["DatasetBuild"]
    assert not any("audioDescription" in message for message in needed["FineTuneRun"] + needed["EvalRun"])
    assert "default" not in spec_schema("FineTuneRun")["properties"]["audioDescription"]


VIDEOS = {"visualInstruction": {"sources": [{"name": "s", "annotations": "a.json", "videos": "v"}]}}


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("FineTuneRun", {**TUNE, "pixels": {"maxPixels": 50176}}, "pixels"),
        ("FineTuneRun", {**TUNE, "training": {"packing": True}}, "training.packing"),
        ("FineTuneRun", {**TUNE, "lora": {"quantization": "nf4"}}, "lora.quantization"),
        ("FineTuneRun", {**TUNE, "lora": {"precision": "fp32"}}, "lora.precision"),
        ("EvalRun", {**RUN, **NARRATED, "prompt": "Say what is seen."}, "prompt"),
        ("EvalRun", {**RUN, **NARRATED, "generation": {"temperature": 0}}, "generation.temperature"),
        ("EvalRun", {**RUN, "recipe": "visual-instruction", "generation": {"topP": 0.5}}, "generation.topP"),
        ("EvalRun", {**RUN, "recipe": "visual-instruction"}, None),
        ("DatasetBuild", {**VIDEOS, "recipe": "visual-instruction", "budget": {"usd": 1}}, "budget"),
        ("DatasetBuild", {**VIDEOS, "recipe": "visual-instruction", "retryFailed": 1}, "retryFailed"),
        ("DatasetBuild", {**VIDEOS, "recipe": "visual-instruction", "dryRun": True}, "dryRun"),
        ("DatasetBuild", {**VIDEOS, "recipe": "visual-instruction", "target": {"samples": 3}}, None),
        ("FineTuneRun", TUNE, None),
        ("EvalRun", {**RUN, **NARRATED}, None),
    ],
)
def test_what_a_recipe_has_no_use_for_is_refused_by_crd_and_operator(
    kind: Kind, given: dict[str, Any], field: str | None
) -> None:
    problem = meaningless(parse_spec(kind, given))
    schema = spec_schema(kind)
    spec = copy.deepcopy(given)
    apply_defaults(spec, schema)
    found = [
        one.field for one in CelRules({"type": "object", "properties": {"spec": schema}}).check({"spec": spec}, None)
    ]
    if field is None:
        assert (problem, found) == (None, [])
    else:
        assert problem == f"spec.{field}: it says nothing under recipe {given['recipe']}; leave it out"
        assert found == [f"spec.{field}"]


def test_a_column_that_two_recipes_have_alike_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    words = Column("Words", ".status.figures.meanWords", "number")
    both = {name: replace(BLIND, columns={"DatasetBuild": (words,)}) for name in ("one", "other")}
    monkeypatch.setattr("fabula_api.columns.recipes", lambda: both)
    assert [one["name"] for one in columns("DatasetBuild")].count("Words") == 1
