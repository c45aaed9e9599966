"""The chart through Helm's own engine on the laptop's cluster: install, the quickstart under its rights, upgrade,
rollback, uninstall. Operator and workers are pods that the process node runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import BIN, ROOT
from tests.support import copies
from tests.support.control_plane import ControlPlane
from tests.support.hub import WANTED, running_hub
from tests.support.patience import SECONDS, until
from tests.support.wire import Wire

helm = pytest.importorskip("helm_python", reason="Helm's engine comes with the test extra")
CHART = ROOT / "charts" / "fabula"
SYSTEM = "fabula-system"

VALUES: dict[str, Any] = {
    "store": {"claim": {"name": "fabula-artifacts"}},
    # All pods of the laptop's cluster share one address, so two operators cannot have the same ports.
    "operator": {"replicas": 1, "extraArgs": ["--progress-interval=1", "--retry-backoff=1"]},
    "isolation": {"sharedPrefixes": ["quickstart"]},
    # The laptop's API judges no policies.
    "admissionPolicy": {"enabled": False},
    "statusServer": {"tls": {"extraNames": ["127.0.0.1"]}},
    "workers": {"metricsPort": 0, "graceSeconds": 20},
    "namespaces": [{"name": "default", "serviceAccount": {}, "artifactClaim": {"size": "1Gi"}}],
}


@dataclass(frozen=True)
class Cluster:
    """A laptop's cluster without Fabula."""

    state: Path

    @property
    def claim(self) -> Path:
        """Where the node keeps the claim. A process cannot mount, so the claim is mounted where it lies."""
        return self.state / "volumes" / "default_fabula-artifacts"

    def values(self, **changes: Any) -> dict[str, Any]:
        """Values of the chart for this cluster."""
        store = {**VALUES["store"], "root": f"file://{self.claim}"}
        return {**VALUES, "store": store, **changes}

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.state / "kubeconfig"), "PATH": f"{BIN}:{os.environ['PATH']}"}

    @cached_property
    def wire(self) -> Wire:
        """For what is asked again and again: a kubectl for each look costs more than what it looks at."""
        return Wire(self.state / "kubeconfig")

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["kubectl", *arguments], capture_output=True, text=True, env=self.environment, check=False, timeout=SECONDS
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def ready(self) -> bool:
        """Whether the cluster has a node that takes pods."""
        try:
            nodes = self.wire.ok("GET", "/api/v1/nodes")["items"]
        except OSError:  # no kubeconfig yet, or nobody listens
            return False
        # A node is made before it tells of itself.
        told = [one for node in nodes for one in node.get("status", {}).get("conditions", [])]
        return any(one["type"] == "Ready" and one["status"] == "True" for one in told)

    def runs(self, *plurals: str) -> list[dict[str, Any]]:
        """The runs of these kinds in the default namespace."""
        path = "/apis/fabula.dev/v1alpha1/namespaces/default"
        return [run for plural in plurals for run in self.wire.ok("GET", f"{path}/{plural}")["items"]]

    def names(self, *arguments: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.get(*arguments)["items"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, product_libraries: Path) -> Iterator[Cluster]:
    state = tmp_path_factory.mktemp("bare") / "cluster"
    with ControlPlane(state, libraries=product_libraries):
        found = Cluster(state)
        until(found.ready, "a node that is ready")
        yield found


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Any]:
    """The chart, installed; what Helm does next is up to the test."""
    cluster.claim.mkdir(parents=True)
    with helm.Config(kubeconfig_path=str(cluster.state / "kubeconfig"), namespace=SYSTEM) as config:
        config.install(
            str(CHART), "fabula", cluster.values(), namespace=SYSTEM, create_namespace=True, timeout=int(SECONDS)
        )
        yield config


def ready(cluster: Cluster) -> bool:
    deployment = cluster.wire.ok("GET", f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/fabula")
    status = deployment.get("status") or {}
    return bool(status.get("readyReplicas") == 1 and status.get("updatedReplicas") == 1)


def quickstart(name: str, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "quickstart" / name).read_text())
    for block, values in changes.items():
        holder = found["spec"]["podcast"] if name == "dataset.yaml" else found["spec"]
        holder.setdefault(block, {}).update(values)
    return found


@pytest.fixture(scope="module")
def tried(installed: Any, cluster: Cluster) -> None:
    """`helm test` has ended well. Its input, which is the quickstart's, then lies where the quickstart reads it too."""
    until(lambda: ready(cluster), "an operator that is ready")
    installed.test("fabula", timeout=int(SECONDS))
    shutil.copytree(cluster.claim / "default" / "trial" / "quickstart", cluster.claim / "quickstart")


def test_helm_test_builds_a_dataset_and_leaves_none_of_its_objects(tried: None, cluster: Cluster) -> None:
    said = cluster.kubectl("logs", "fabula-trial", "-n", SYSTEM)
    assert "it works: " in said, said
    assert cluster.names("dsb") == set()
    manifests = (cluster.claim / "default" / "datasetbuild").glob("assemble/*/manifest.json")
    assert [json.loads(one.read_text())["kind"] for one in manifests] == ["dataset"]
    assert not {one for one in cluster.names("jobs,roles,rolebindings") if "trial" in one}


def test_the_quickstart_runs_under_the_charts_own_rights(tried: None, cluster: Cluster, tmp_path: Path) -> None:
    runs = [
        quickstart("dataset.yaml", source={"limit": 3}, extraction={"workers": 1}, images={"steps": 1, "workers": 1}),
        quickstart("finetune.yaml", training={"maxSteps": 4}, checkpoints={"everySteps": 4}, deepspeed={"stage": 2}),
        quickstart("eval.yaml", samples={"count": 2}, generation={"maxNewTokens": 8}),
    ]
    # Four steps teach nothing: here the rights are at stake, not the score.
    runs[2]["spec"].pop("gates")
    runs[2]["spec"]["shards"] = 1
    (tmp_path / "runs.yaml").write_text(yaml.safe_dump_all(runs))
    cluster.kubectl("apply", "-f", str(tmp_path / "runs.yaml"))

    def over() -> bool:
        found = cluster.runs("datasetbuilds", "finetuneruns", "evalruns")
        states = [one.get("status", {}).get("state") for one in found]
        assert "Failed" not in states, cluster.kubectl("get", "dsb,ftr,evr", "-o", "wide")
        return states == ["Succeeded"] * 3

    until(over, "three runs that succeeded")
    report = cluster.get("evr", "quickstart")["status"]["report"]["uri"]
    assert (Path(report.removeprefix("file://")) / "report.html").exists()
    pods = cluster.get("pods", "-l", "app.kubernetes.io/name=fabula-worker")["items"]
    assert pods
    assert all(one["spec"]["automountServiceAccountToken"] is False for one in pods)


def test_an_upgrade_leaves_runs_and_certificate_alone_and_a_rollback_undoes_it(
    installed: Any, cluster: Cluster
) -> None:
    before = {one["metadata"]["uid"]: one["status"] for one in cluster.get("dsb,ftr,evr")["items"]}
    certificate = cluster.get("secret", "fabula-status-tls", "-n", SYSTEM)["data"]
    changed = cluster.values(operator={**VALUES["operator"], "logLevel": "DEBUG"})
    installed.upgrade(str(CHART), "fabula", changed, namespace=SYSTEM, timeout=int(SECONDS))
    arguments = cluster.get("deployment", "fabula", "-n", SYSTEM)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--log-level=DEBUG" in arguments
    until(lambda: ready(cluster), "the new operator")
    assert {one["metadata"]["uid"]: one["status"] for one in cluster.get("dsb,ftr,evr")["items"]} == before
    assert cluster.get("secret", "fabula-status-tls", "-n", SYSTEM)["data"] == certificate

    installed.rollback("fabula", version=1, timeout=int(SECONDS))
    arguments = cluster.get("deployment", "fabula", "-n", SYSTEM)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--log-level=INFO" in arguments
    until(lambda: ready(cluster), "the former operator")


def doctor(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Its lines: state and words by what they are about."""
    done = copies.run("fabula_cli.main", "doctor", "-n", "default", "-o", "json", environment=cluster.environment)
    assert done.stdout.startswith("["), done.stderr
    return {one["about"]: (one["state"], one["said"]) for one in json.loads(done.stdout)}


def filled(cluster: Cluster) -> set[str]:
    """How the Jobs that fill the cache have ended."""
    jobs = cluster.get("jobs", "-l", "app.kubernetes.io/name=fabula-models")["items"]
    conditions = [one for job in jobs for one in (job.get("status") or {}).get("conditions") or ()]
    return {one["type"] for one in conditions if one["status"] == "True"} & {"Complete", "Failed"}


def test_the_cache_of_models_is_filled_by_a_job_and_the_doctor_knows(installed: Any, cluster: Cluster) -> None:
    with running_hub() as (_, hub):
        workers = {**VALUES["workers"], "env": hub, "modelCache": {"claim": "fabula-models", "models": ["some/model"]}}
        namespaces = [{**VALUES["namespaces"][0], "modelClaim": {"size": "1Gi"}}]
        changed = cluster.values(workers=workers, namespaces=namespaces)
        installed.upgrade(str(CHART), "fabula", changed, namespace=SYSTEM, timeout=int(SECONDS))
        until(lambda: filled(cluster) == {"Complete"}, "a cache that is filled")
    state, said = doctor(cluster)["model cache"]
    assert state == "OK"
    assert said.endswith("has filled it with some/model")
    claim = cluster.state / "volumes" / "default_fabula-models"
    (snapshot,) = claim.glob("models--some--model/snapshots/*")
    assert {file.name for file in snapshot.iterdir()} == WANTED


def test_an_uninstall_keeps_runs_and_artifacts(installed: Any, cluster: Cluster) -> None:
    installed.uninstall("fabula", timeout=int(SECONDS))
    # Hooks are no part of a release: what a trial said stays.
    until(lambda: cluster.names("pods", "-n", SYSTEM) <= {"fabula-trial"}, "no pod of the operator", 0.5)
    assert cluster.names("deployments,services,configmaps,roles,rolebindings", "-n", SYSTEM) <= {"kube-root-ca.crt"}
    assert cluster.names("clusterroles") & {"fabula"} == set()
    assert cluster.names("crds") >= {"datasetbuilds.fabula.dev", "finetuneruns.fabula.dev", "evalruns.fabula.dev"}
    assert len(cluster.get("dsb,ftr,evr")["items"]) == 3
    assert cluster.names("pvc") == {"fabula-artifacts", "fabula-models"}
