"""No part of the platform knows a recipe or a family of models by its words: they are asked."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLATFORM = ("crds/fabula_api", "operator", "workloads/fabula_workloads", "localcluster", "charts/fabula_chart")
OF_A_RECIPE = (
    "crds/fabula_api/recipes/podcast",
    "crds/fabula_api/recipes/visual_instruction",
    "workloads/fabula_workloads/recipes",
)
OF_A_FAMILY = ("crds/fabula_api/model_families", "workloads/fabula_workloads/models/qwen3_vl")
WORDS = {"recipe": (re.compile("podcast|sporc|episode|excerpt", re.I), OF_A_RECIPE),
         "family": (re.compile("qwen", re.I), (*OF_A_RECIPE, *OF_A_FAMILY))}  # fmt: skip
ALLOWED = {
    "recipe": {
        "crds/fabula_api/shared_spec.py": 1,  # the recipe of a run that names none
        "charts/fabula_chart/meanings.py": 7,  # reasons of counts, for the documentation
    },
    "family": {
        "crds/fabula_api/shared_spec.py": 1,
    },
}
"""Lines that still have such a word. It only shrinks: a line that is mended is taken from here."""


@pytest.mark.parametrize("of", WORDS)
def test_the_platform_has_no_words_of(of: str) -> None:
    pattern, places = WORDS[of]
    found: Counter[str] = Counter()
    for path in (path for part in PLATFORM for path in sorted((ROOT / part).rglob("*.py"))):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(places):
            found[name] += sum(bool(pattern.search(line)) for line in path.read_text().splitlines())
    assert {name: count for name, count in found.items() if count} == ALLOWED[of]
