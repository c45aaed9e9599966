"""A new operator over objects that an older one left: it has nothing to do, to runs at work and to those that ended.

A change that fails here would restart, repeat or rewrite what people have in their clusters when they upgrade.
"""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fabula_operator.kube.client import Api
from tests.support.operator_driver import Driver
from tests.upgrade.stored_server import StoredServer

VERSIONS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "stored").glob("*.json"))
}


@pytest.mark.parametrize(
    ("version", "moment"), [(version, moment) for version, moments in VERSIONS.items() for moment in moments]
)
async def test_an_upgrade_leaves_runs_and_their_children_alone(version: str, moment: str) -> None:
    kept = VERSIONS[version][moment]
    server = StoredServer(copy.deepcopy(kept["objects"]))
    now = datetime.fromisoformat(kept["at"]) + timedelta(seconds=1)
    driver = Driver(Api(server), lambda: now)
    await driver.observer.discover()
    await driver.resync(kept["namespace"])
    assert list(driver.cache.keys()), "the operator saw the runs"
    # Of a run at work a newer operator may tell more than the older one could, once, and nothing else.
    assert [path for method, path, _ in server.writes if method != "PATCH" or not path.endswith("/status")] == []
    for before, after in zip(kept["objects"], server.objects, strict=True):
        assert still_there(before.get("status"), after.get("status")), before["metadata"]["name"]
        assert {**before, "status": 0, "metadata": 0} == {**after, "status": 0, "metadata": 0}
    told = len(server.writes)
    assert told <= sum(one["kind"] in ("DatasetBuild", "FineTuneRun", "EvalRun") for one in kept["objects"])
    await driver.resync(kept["namespace"])
    assert len(server.writes) == told


def still_there(before: Any, after: Any) -> bool:
    """Whether all that was told is told still; fields and conditions may have been added."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            still_there(by_type(part), by_type(after.get(key)))
            if key == "conditions"
            else still_there(part, after.get(key))
            for key, part in before.items()
        )
    if isinstance(before, list):
        return (
            isinstance(after, list)
            and len(before) == len(after)
            and all(still_there(one, other) for one, other in zip(before, after, strict=True))
        )
    return bool(before == after)


def by_type(conditions: Any) -> dict[str, Any]:
    """Conditions as the list map that they are."""
    return {condition["type"]: condition for condition in conditions or ()}


def test_this_release_has_been_kept() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] in VERSIONS, "run `python -m tests.upgrade` before a release"


async def test_what_an_upgrade_would_touch_is_seen() -> None:
    """A child that is gone is made anew, so the silence above means something."""
    kept = VERSIONS["0.1.0"]["a build's shards are at work"]
    server = StoredServer([one for one in kept["objects"] if one["kind"] not in ("Job", "Pod")])
    now = datetime.fromisoformat(kept["at"]) + timedelta(seconds=1)
    await Driver(Api(server), lambda: now).resync(kept["namespace"])
    assert [method for method, path, _ in server.writes if path.endswith("/jobs")] == ["POST"]


def test_a_training_at_work_is_kept_as_either_kind_of_child() -> None:
    for moment, kind in (("a training is at work", "Job"), ("a PyTorchJob trains", "PyTorchJob")):
        objects = VERSIONS["0.1.0"][moment]["objects"]
        stages = {one["metadata"]["labels"]["fabula.dev/stage"] for one in objects if one["kind"] == kind}
        assert "train" in stages, moment
