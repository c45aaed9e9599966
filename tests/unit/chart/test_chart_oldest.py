"""The oldest Kubernetes that all works on: its API has every field of the chart's and the operator's manifests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.kubernetes_fields import unknown
from tests.unit.chart.test_chart_render import CHART, INSTALLATIONS, objects, values_of

HERE = Path(__file__).parent
SERVING = HERE.parents[2] / "examples" / "serving" / "vllm.yaml"
CHILDREN = sorted((HERE.parent / "operator" / "golden").glob("*"))
FOREIGN = ("kubeflow.org/", "cert-manager.io/", "monitoring.coreos.com/", "kueue.x-k8s.io/", "fabula.dev/")
"""Kinds that others bring, with versions of their own."""
OLDEST = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").rpartition(".")[0]
TYPES = json.loads((HERE / f"kubernetes-{OLDEST}.json").read_text())


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if isinstance(one, dict) and "kind" in one]


def judged(found: list[dict[str, Any]]) -> list[str]:
    ours = [one for one in found if not one["apiVersion"].startswith(FOREIGN)]
    assert ours
    return [path for one in ours for path in unknown(one, TYPES)]


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_the_oldest_kubernetes_knows_every_field_of_the_chart(installation: str) -> None:
    assert judged(objects(values_of(installation))) == []


def test_the_oldest_kubernetes_knows_every_field_of_what_the_operator_makes() -> None:
    assert judged([one for file in CHILDREN for one in documents(file)]) == []


def test_a_field_that_it_does_not_know_is_named() -> None:
    job = copy.deepcopy(next(one for file in CHILDREN for one in documents(file) if one["kind"] == "Job"))
    job["spec"]["template"]["spec"]["containers"][0]["newer"] = True
    assert unknown(job, TYPES) == ["Job.spec.template.spec.containers.newer"]


def test_the_page_of_installing_names_the_oldest() -> None:
    assert f"\n{OLDEST} is the oldest." in (CHART.parents[1] / "docs" / "install.md").read_text()


def test_the_serving_example_has_no_field_that_kubernetes_lacks() -> None:
    documents = list(yaml.safe_load_all(SERVING.read_text()))
    assert [one["kind"] for one in documents] == ["Deployment", "Service"]
    assert [path for one in documents for path in unknown(one, TYPES)] == []
