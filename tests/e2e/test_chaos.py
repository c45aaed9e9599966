"""kill -9 of everything while a run works: it ends as the undisturbed one did.

The same small run goes twice, in two namespaces: once in peace, once while operator, control plane, a picture worker, a
rank and an inference shard are killed. Dataset, weights and answers must be the same to the byte.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
import yaml

from tests.e2e.conftest import BIN, ROOT, Product
from tests.support.patience import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.skipif("FABULA_SOAK" not in os.environ, reason="six runs: `make chaos`, and .ci/run by itself"),
]


def small(namespace: str) -> str:
    """The quickstart's three runs, cut down to a minute."""
    documents: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    for path in sorted((ROOT / "examples" / "quickstart").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        document["metadata"]["namespace"] = namespace
        spec = document["spec"]
        match document["kind"]:
            case "DatasetBuild":
                spec["podcast"]["source"]["limit"] = 4
                spec["podcast"]["extraction"]["maxExcerpts"] = 1
                spec["podcast"]["images"]["workers"] = 1
            case "FineTuneRun":
                spec["training"] |= {"maxSteps": 150, "perDeviceBatchSize": 1}
                spec["checkpoints"] = {"everySteps": 10, "keep": 2}
                spec["retries"] = {"failure": 4, "infrastructure": 10}
            case "EvalRun":
                spec["samples"]["count"] = 4
                spec["arms"] = [arm for arm in spec["arms"] if arm["name"] == "finetuned"]
                spec["metrics"] = ["turns", "format-compliance"]
                spec["generation"]["maxNewTokens"] = 48
                spec["gates"] = []
        documents.append(document)
    return yaml.safe_dump_all(documents)


def apply(product: Product, namespace: str, folder: Path) -> None:
    path = folder / f"{namespace}.yaml"
    path.write_text(small(namespace))
    product.kubectl("apply", "-n", namespace, "-f", str(path))


PLURALS = {"dsb": "datasetbuilds", "ftr": "finetuneruns", "evr": "evalruns"}


def status(product: Product, namespace: str, kind: str) -> dict[str, Any]:
    path = f"/apis/fabula.dev/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}/quickstart"
    return dict(product.wire.ok("GET", path).get("status") or {})


def processes(product: Product, marker: str) -> list[int]:
    """Worker processes of this state folder whose command line or config mentions `marker`."""
    return [one.pid for one in product.processes() if "fabula" in one.command and marker in one.text]


def answers(product: Product) -> bool:
    try:
        return product.wire.call("GET", "/readyz").status == 200
    except OSError:
        return False


def kill(pids: list[int]) -> bool:
    killed = False
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            killed = True
        except ProcessLookupError:
            continue
    return killed


def parts_of(product: Product, namespace: str, kind: str, field: str) -> dict[str, str]:
    folder = Path(unquote(urlparse(status(product, namespace, kind)[field]["uri"]).path))
    manifest = json.loads((folder / "manifest.json").read_text())
    return {part["path"]: part["sha256"] for part in manifest["parts"]}


def finish(product: Product, namespace: str, kind: str) -> None:
    def finished() -> bool:
        conditions = status(product, namespace, kind).get("conditions") or []
        return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)

    until(finished, f"{kind} in {namespace} finished")
    found = status(product, namespace, kind)
    assert found["state"] == "Succeeded", json.dumps(found.get("failure"), indent=1)


def stage(product: Product, namespace: str, kind: str, name: str) -> dict[str, Any]:
    stages = status(product, namespace, kind).get("stages") or []
    return next((s for s in stages if s["name"].startswith(name)), {})


def while_working(product: Product, kind: str, name: str, enough: Callable[[dict[str, Any]], bool]) -> None:
    until(
        lambda: (
            stage(product, "storm", kind, name).get("state") == "Running"
            and enough(stage(product, "storm", kind, name))
        ),
        f"{kind} {name} at work",
    )


def test_everything_killed_ends_as_in_peace(warm_product: Product, tmp_path: Path) -> None:
    product = warm_product
    if product.outside:
        pytest.skip("kills the control plane: only the laptop's own may be")
    code, output = product.fabula("up")
    assert code == 0, output
    root = product.parts()["artifactRoot"]
    prepare = [str(BIN / "fabula-quickstart"), "--root", root]
    subprocess.run(prepare, check=True, env=product.environment)
    apply(product, "peace", tmp_path)
    for kind in ("dsb", "ftr", "evr"):
        finish(product, "peace", kind)

    apply(product, "storm", tmp_path)
    # Four pictures are drawn within two seconds: no status tells of the first one before the last is there.
    until(lambda: kill(processes(product, '"stage":"illustrate"')), "a picture worker to kill")
    assert kill([product.parts()["parts"]["operator"]["pid"]])
    while_working(product, "ftr", "train", lambda s: (s.get("done") or 0) >= 3)
    assert kill(processes(product, "fabula_workloads.training")[:1])
    until(lambda: len(status(product, "storm", "ftr").get("attempts") or []) >= 2, "a second attempt")
    while_working(product, "ftr", "train", lambda s: (s.get("done") or 0) >= 4)
    assert kill([product.parts()["parts"]["control plane"]["pid"]])
    until(lambda: product.parts()["parts"]["control plane"]["starts"] >= 2, "the control plane started again")
    until(lambda: answers(product), "the API server answers again")
    finish(product, "storm", "dsb")
    finish(product, "storm", "ftr")
    while_working(product, "evr", "infer", lambda s: True)
    until(lambda: kill(processes(product, '"stage":"infer"')), "an inference shard to kill")
    finish(product, "storm", "evr")

    assert parts_of(product, "storm", "dsb", "artifact") == parts_of(product, "peace", "dsb", "artifact")
    weights = "adapter_model.safetensors"
    assert (
        parts_of(product, "storm", "ftr", "adapter")[weights] == parts_of(product, "peace", "ftr", "adapter")[weights]
    )
    assert status(product, "storm", "evr")["arms"] == status(product, "peace", "evr")["arms"]
