"""The health check that docs/install.md gives to Argo CD, over runs as operators left them, by the Lua that it has."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from fabula_operator.plan.status import conditions as condition

ROOT = Path(__file__).parents[2]
KINDS = ("DatasetBuild", "FineTuneRun", "EvalRun")
RUNS = [
    pytest.param(one, id=f"{moment}: {one['kind']}")
    for moment, kept in json.loads((ROOT / "tests" / "upgrade" / "stored" / "0.1.0.json").read_text()).items()
    for one in kept["objects"]
    if one["kind"] in KINDS
]
MEANT = {"Pending": "Progressing", "Running": "Progressing", "Succeeded": "Healthy", "Failed": "Degraded"}


def health(run: dict[str, Any]) -> tuple[str, str]:
    """What Argo CD shows of a run: status and message."""
    page = (ROOT / "docs" / "install.md").read_text().partition("\n## Argo CD\n")[2]
    block = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    ((key, script),) = yaml.safe_load(block).items()
    assert re.fullmatch(r"resource\.customizations\.health\.fabula\.dev_(DatasetBuild|FineTuneRun|EvalRun)", key)
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    said = lua.execute(f"obj = ...\n{script}", lua.table_from(run, recursive=True))
    return said.status, said.message


def stands(run: dict[str, Any], phase: condition.Phase) -> dict[str, Any]:
    """The run with these conditions."""
    told = [{"type": type_, "status": one[0], "message": one[2]} for type_, one in phase.told().items()]
    return {**run, "status": {**run["status"], "conditions": told}}


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_what_its_state_says(run: dict[str, Any]) -> None:
    stalled = {"Stalled": "True"}.items() <= {one["type"]: one["status"] for one in run["status"]["conditions"]}.items()
    assert health(run)[0] == ("Degraded" if stalled else MEANT[run["status"]["state"]])


def test_it_says_what_a_run_waits_for() -> None:
    waits = stands(RUNS[0].values[0], condition.waiting("WaitingForDataset", "DatasetBuild podcast is Running"))
    assert health(waits) == ("Progressing", "DatasetBuild podcast is Running")
    stalled = stands(waits, condition.waiting("DatasetFailed", "DatasetBuild podcast has failed", stalled=True))
    assert health(stalled) == ("Degraded", "DatasetBuild podcast has failed")


def test_a_run_that_its_spec_holds_is_suspended() -> None:
    assert health(stands(RUNS[0].values[0], condition.suspended("no pod runs"))) == ("Suspended", "no pod runs")


def test_what_was_told_of_a_former_spec_counts_for_nothing() -> None:
    run = copy.deepcopy(RUNS[0].values[0])
    assert health(run)[0] == "Healthy"
    run["metadata"]["generation"] += 1
    assert health(run)[0] == "Progressing"
    del run["status"]
    assert health(run)[0] == "Progressing"
