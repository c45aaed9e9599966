"""Fields within lists under the admission policy: each entry is held to the list, unless it stays as it was."""

from __future__ import annotations

from typing import Any

import cel
import pytest

from fabula_api.admission import RULES, expression

Judges = list[tuple[str, str | None]]
OURS, EVIL = "https://ours.example/v1", "https://evil.example"


def run(judges: Judges | None) -> dict[str, Any]:
    if judges is None:
        return {"spec": {}}
    made = [{"name": name} | ({"endpointUrl": url} if url else {}) for name, url in judges]
    return {"spec": {"judges": made}}


@pytest.mark.parametrize(
    ("judges", "before", "allowed"),
    [
        (None, None, True),
        ([("a", None)], None, True),
        ([("a", OURS)], None, True),
        ([("a", OURS), ("b", EVIL)], None, False),
        ([("a", EVIL)], [("a", EVIL)], True),
        ([("b", EVIL)], [("a", EVIL)], False),
        ([("a", EVIL)], [("a", OURS)], False),
        ([("a", EVIL)], [("a", None)], False),
    ],
)
def test_the_address_of_each_judge_is_held_to_the_list(judges: Judges | None, before: Judges, allowed: bool) -> None:
    rule = next(one for one in RULES if one.field == "spec.judges[].endpointUrl")
    functions = {"split": lambda text, by: text.split(by), "trim": lambda text: text.strip()}
    seen = {
        "object": run(judges),
        "oldObject": None if before is None else run(before),
        "params": {"data": {"endpoints": "https://other.example\n https://ours.example "}},
    }
    assert cel.compile(expression(rule)).execute(cel.Context(seen, functions)) is allowed
