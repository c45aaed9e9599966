"""A metric is one file: added to the tree, it stands in schema, docs, self-tests, report and status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fabula_api
from fabula_api.metrics import METRICS, PROFILES
from fabula_workloads.metrics.brought import function_of

METRIC = '''
"""How loud an answer is."""

from fabula_api.metrics.record import Definition, Metric

def exclamations(reading):
    return float(reading.text.count("!"))

METRIC = Metric(
    name="loudness", title="Loudness", unit="exclamation marks of an answer", shown=".2f",
    probes=("oh", "oh!"),
    definitions={"v2": Definition("exclamation marks", "fabula_api.metrics.records.loudness:exclamations")},
)
'''
PROGRAM = """
import json, sys
from fabula_api.crd import crd
from fabula_api.eval_run import EvalRunSpec
from fabula_api.generate import outputs
from fabula_api.recipes import default_metrics
from fabula_api.summary import ScoreSummary
from fabula_workloads.metrics.evaluation import evaluate
from fabula_workloads.metrics.records import GivenAnswer
from fabula_workloads.metrics.summary import summarize
from fabula_workloads.report.document import document
from fabula_workloads.report.page import page
from fabula_workloads.report.parts import Told
from fabula_workloads.samples.sample_set import EvaluationSample
from fabula_workloads.report.tables import samples_csv, summary_csv

schema = crd("EvalRun")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
spec = EvalRunSpec.model_validate({
    "samples": {"uri": "s"}, "gates": [{"metric": "loudness", "arm": "tuned", "min": 2}],
    "arms": [{"name": name, "model": {"uri": "m"}} for name in ("base", "tuned")],
    "metrics": ["words", "loudness"],
})
marks = {"base": "!", "tuned": "!!!"}
answers = [GivenAnswer(arm, s, 0, "Speaker 1: oh" + mark) for arm, mark in marks.items() for s in "abc"]
found = evaluate(spec, answers)
summary = ScoreSummary.model_validate(summarize(found))
told = document(found, [], {})
print(json.dumps({
    "pattern": schema["metrics"]["items"]["pattern"], "default": default_metrics("podcast"),
    "docs": outputs()["docs/metrics.md"], "reference": outputs()["docs/api-reference.md"],
    "status": {arm.name: {one.name: one.mean for one in arm.metrics} for arm in summary.arms},
    "gates": [gate.passed for gate in summary.gates],
    "tests": [test["name"] for test in told["selfTests"] if test["metric"] == "loudness"],
    "profiles": [one["profile"] for one in told["arms"][0]["metrics"] if one["name"] == "loudness"],
    "page": page(
        Told(found, {s: EvaluationSample(id=s) for s in "abc"}, {}), name="n", lineage=[], settings={}
    ),
    "csv": [samples_csv(found, profile, "abc").splitlines()[0] for profile in ("v2", "paper-v1")],
    "summary": summary_csv(found, "v2").splitlines()[2],
    "torch": "torch" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(Path(fabula_api.__file__).parent, tree / "fabula_api", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "fabula_api/metrics/records/loudness.py").write_text(METRIC)
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, cwd=tree, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_schema_and_docs_name_it(told: dict[str, str]) -> None:
    assert "loudness" in told["pattern"] and "loudness" in told["default"]
    assert "| `loudness` | Loudness | exclamation marks of an answer |" in told["docs"]
    assert "`loudness`" in told["reference"]


def test_status_gates_tables_and_report_show_it(told: dict[str, object]) -> None:
    assert told["status"] == {"base": {"words": 3.0, "loudness": 1.0}, "tuned": {"words": 3.0, "loudness": 3.0}}
    assert "<h3>Loudness</h3>" in str(told["page"]) and "exclamation marks of an answer" in str(told["page"])
    words = "sample,words_base,words_tuned"
    assert told["csv"] == [f"{words},loudness_base,loudness_tuned", words]
    assert told["summary"] == "loudness,1.00,3.00,2.00"
    assert told["profiles"] == ["v2"], "a profile that does not define it does not show it"


def test_it_is_tried_and_gates_may_rest_on_it(told: dict[str, object]) -> None:
    assert told["tests"] == ["tells two texts apart"]
    assert told["gates"] == [True]


def test_text_metrics_load_no_torch(told: dict[str, object]) -> None:
    assert told["torch"] is False


@pytest.mark.parametrize("name", METRICS)
def test_every_record_can_be_computed_and_shown(name: str) -> None:
    found = METRICS[name]
    assert found.definitions, "a metric without a definition has no figure"
    assert format(1.5, found.shown)
    for profile in found.definitions:
        assert profile in PROFILES
        assert callable(function_of(found, profile))
