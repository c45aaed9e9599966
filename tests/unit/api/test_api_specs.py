"""A recipe's own fields, where the CRD has its block and where it does not know the recipe."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field, ValidationError

from fabula_api.base import SpecModel, Uri
from fabula_api.dataset_build import DatasetBuildSpec
from fabula_api.eval_run import EvalRunSpec
from fabula_api.recipes import Recipe, recipes
from fabula_api.recipes.platform import EVALUATION
from fabula_api.recipes.soundness import problem_of
from fabula_api.shared_spec import RunSpec
from fabula_api.specs import parse_spec


class Words(SpecModel):
    least: int = Field(1, ge=1)


class Film(SpecModel):
    uri: Uri
    words: Words = Field(default_factory=Words)


class FilmBuildSpec(DatasetBuildSpec):
    silent_film: Film


class Misnamed(DatasetBuildSpec):
    film: Film


class Bare(DatasetBuildSpec):
    silent_film: int = 0


FILM = Recipe("silent-film", stages={}, specs={"DatasetBuild": FilmBuildSpec})


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabula_api.specs.recipes", lambda: {**recipes(), FILM.name: FILM})


@pytest.mark.parametrize("block", ["silentFilm", "parameters"])
def test_the_fields_are_one_s_own_wherever_they_stand(block: str) -> None:
    spec = parse_spec("DatasetBuild", {"recipe": "silent-film", block: {"uri": "reel", "words": {"least": 3}}})
    assert isinstance(spec, FilmBuildSpec)
    assert (spec.silent_film.uri, spec.silent_film.words.least) == ("reel", 3)
    assert spec.parameters is None


@pytest.mark.parametrize(
    ("spec", "path", "said"),
    [
        (
            {"parameters": {"uri": "r", "words": {"least": 0}}},
            ("parameters", "words", "least"),
            "greater than or equal",
        ),
        ({"parameters": {"uri": "r", "wordz": {}}}, ("parameters", "wordz"), "not permitted"),
        ({"parameters": {}}, ("parameters", "uri"), "required"),
        (
            {"silentFilm": {"uri": "r", "words": {"least": 0}}},
            ("silentFilm", "words", "least"),
            "greater than or equal",
        ),
        ({"parameters": {"uri": "r"}, "silentFilm": {"uri": "r"}}, ("parameters",), "are the same fields"),
        ({"parameters": {"uri": "r"}, "target": {"samples": 0}}, ("target", "samples"), "greater than"),
        ({"podcast": {"source": {"uri": "r"}}, "silentFilm": {"uri": "r"}}, ("podcast",), "not permitted"),
        ({}, ("silentFilm",), "required"),
    ],
)
def test_what_is_wrong_is_told_where_it_was_written(spec: dict[str, Any], path: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_spec("DatasetBuild", {"recipe": "silent-film", **spec})
    (error,) = caught.value.errors()
    assert error["loc"] == path and said in error["msg"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (EvalRunSpec, "is EvalRunSpec, which is no DatasetBuildSpec"),
        (DatasetBuildSpec, "must add one field to DatasetBuildSpec, and name it silent_film"),
        (Misnamed, "must add one field to DatasetBuildSpec, and name it silent_film"),
        (Bare, "Bare.silent_film is no block of fields"),
        (FilmBuildSpec, None),
    ],
)
def test_a_recipe_adds_one_block_of_its_name(own: type[RunSpec], said: str | None) -> None:
    problem = problem_of(Recipe("silent-film", stages={"EvalRun": EVALUATION}, specs={"DatasetBuild": own}))
    assert problem is None if said is None else said in (problem or "")
