"""Whatever decides an output decides its key: no two inputs, wherever they are named, share a stage's folder."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.observations import NOW, condition, launches, observed

from fabula_api.recipes import Kind, stages_of
from fabula_api.specs import parse_spec
from fabula_operator.plan.lifecycle import plan
from fabula_operator.plan.stages.key import Work, stage_key
from fabula_operator.render.launch import Launch


def first_launch(kind: Kind, spec: dict[str, Any]) -> Launch:
    return launches(plan(observed(kind, spec), NOW))[0]


def places(uri: str) -> list[tuple[Kind, dict[str, Any]]]:
    """The runs whose first stage reads what is at a place."""
    return [
        ("DatasetBuild", {"source": {"uri": uri, "licenseAccepted": True}}),
        ("FineTuneRun", {"dataset": {"uri": uri}}),
        ("FineTuneRun", {"model": {"uri": uri}}),
        ("EvalRun", {"samples": {"uri": uri}}),
    ]


@pytest.mark.parametrize("position", range(4))
def test_two_places_never_share_a_folder_and_two_spellings_of_one_do(position: int) -> None:
    outputs = {}
    for uri in ("data/a", "data/b", "file:///artifacts/data/a/", "s3://bucket/data/a"):
        kind, spec = places(uri)[position]
        outputs[uri] = first_launch(kind, spec).output
    assert len(set(outputs.values())) == 3
    assert outputs["data/a"] == outputs["file:///artifacts/data/a/"]


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("DatasetBuild", {"source": {"uri": "a/../b", "licenseAccepted": True}}, "spec.podcast.source.uri"),
        ("FineTuneRun", {"dataset": {"uri": "a/%2e%2e/b"}}, "spec.dataset.uri"),
        ("FineTuneRun", {"output": {"uri": "/somewhere"}}, "spec.output.uri"),
        ("EvalRun", {"arms": [{"name": "base", "model": {"uri": "gs://b/m"}}]}, "spec.arms[0].model.uri"),
    ],
)
def test_a_place_that_is_none_is_refused_by_its_field(kind: Kind, spec: dict[str, Any], field: str) -> None:
    made = plan(observed(kind, spec), NOW)
    assert made.actions == ()
    assert condition(made.status, "Accepted") == ("False", "InvalidSpec")
    assert made.status is not None
    assert field in next(one.message for one in made.status.conditions if one.type == "Accepted")


def test_what_an_update_is_computed_in_decides_and_where_it_is_not_said_the_key_is_what_it_was() -> None:
    def key(**lora: Any) -> str:
        spec = parse_spec("FineTuneRun", {"dataset": {"uri": "data/a"}, "model": {"uri": "m"}, "lora": lora})
        (stage,) = (one for one in stages_of(spec.recipe, "FineTuneRun") or () if one.name == "train")
        return stage_key(Work(stage, spec, None, (), "file:///artifacts"))

    assert key() == "sha256:dc10a78536925c46d025ba6c251a38ea82150aa983bbaaf445fd6cd851052f3c"
    assert key(precision="fp32") != key()
