"""Recipes are found by their entry points, and whatever is wrong with one is told at once, by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from fabula_api.recipes import ENTRY_POINTS, RecipesBroken, recipes
from fabula_api.recipes.found import load


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
        ([_point("podcast", "fabula_api.recipes.podcast:PODCAST")] * 2, "podcast: both .* bring it; uninstall one"),
        ([], "no recipe is installed"),
    ],
    ids=["no module", "no object", "no recipe", "another's name", "twice", "none"],
)
def test_a_broken_entry_point_is_named(points: list[EntryPoint], said: str) -> None:
    with pytest.raises(RecipesBroken, match=said):
        load(points)


def test_all_broken_ones_are_named_in_one_error() -> None:
    with pytest.raises(RecipesBroken, match=r"one of .*; two of "):
        load([_point("two", "nowhere:B"), _point("one", "nowhere:A")])
