"""What goes wrong for a new user, on a cluster with the chart: each time the run's condition and `fabula doctor` say
what is wrong and what to do.

The laptop's cluster keeps no ResourceQuota, so a front before it does (tests/support/quota_front.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import ROOT
from tests.e2e.test_chart_install import CHART, SYSTEM, VALUES, Cluster, ready
from tests.support import copies
from tests.support.laptop import LaptopApi
from tests.support.patience import SECONDS, until
from tests.support.quota_front import QuotaFront
from tests.support.s3 import BUCKET, S3Server, run_s3_server, weed_binary

helm = pytest.importorskip("helm_python", reason="Helm's engine comes with the test extra")
pytestmark = pytest.mark.skipif(weed_binary() is None, reason="SeaweedFS comes with the test extra")
DIGEST = "sha256:" + "a" * 64
TUNE: dict[str, Any] = {
    "dataset": {"uri": "default/datasets/d", "digest": DIGEST},
    "model": {"uri": "default/models/m", "digest": DIGEST},
}
KEYS = "store-keys"
PLURALS = {"dsb": "datasetbuilds", "ftr": "finetuneruns"}


def example() -> dict[str, Any]:
    """The quickstart's build."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "quickstart" / "dataset.yaml").read_text())["spec"]
    return found


@dataclass(frozen=True)
class Place:
    """The cluster, its store, and what a user types."""

    cluster: Cluster
    store: S3Server
    quotas: QuotaFront

    def values(self, **changes: Any) -> dict[str, Any]:
        store = {"root": f"s3://{BUCKET}/fabula", "s3": {"endpointUrl": self.store.endpoint, "region": "us-east-1"}}
        workers = {**VALUES["workers"], "secretName": KEYS}
        patience = ["--patience=5", *VALUES["operator"]["extraArgs"]]
        operator = {**VALUES["operator"], "extraArgs": patience}
        return {**VALUES, "store": store, "workers": workers, "operator": operator, "namespaces": [], **changes}

    def secret(self, namespace: str, access_key: str, secret_key: str) -> None:
        """The Secret that the chart's values name."""
        given = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
        literals = [f"--from-literal={key}={value}" for key, value in given.items()]
        self.cluster.kubectl("-n", namespace, "create", "secret", "generic", KEYS, *literals)

    def run(self, namespace: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        self.apply(
            namespace,
            {"apiVersion": "fabula.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec},
        )

    def apply(self, namespace: str, body: dict[str, Any]) -> None:
        done = subprocess.run(
            ["kubectl", "-n", namespace, "apply", "-f", "-"], input=json.dumps(body), text=True, capture_output=True,
            env=self.cluster.environment, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def says(self, namespace: str, what: str, reason: str, *words: str) -> dict[str, Any]:
        """Wait until a run gives this reason; it. What `kubectl describe` shows has the words."""
        kind, _, name = what.partition("/")
        path = f"/apis/fabula.dev/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}/{name}"

        def look() -> dict[str, Any] | None:
            status: dict[str, Any] = self.cluster.wire.ok("GET", path).get("status") or {}
            assert status.get("reason") == reason or not status.get("finishedAt"), json.dumps(status)
            return status if status.get("reason") == reason else None

        status = until(look, lambda: self.cluster.kubectl("describe", what, "-n", namespace))
        shown = self.cluster.kubectl("describe", what, "-n", namespace)
        assert not [word for word in words if word not in shown], shown
        return status

    def doctor(self, namespace: str, *options: str, **environment: str) -> dict[str, tuple[str, str]]:
        """Its lines: state and words by what they are about."""
        words = ("doctor", "-n", namespace, "-o", "json", *options)
        done = copies.run("fabula_cli.main", *words, environment={**self.cluster.environment, **environment})
        assert done.stdout.startswith("["), done.stderr
        return {one["about"]: (one["state"], one["said"]) for one in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cluster without Fabula, and without the training operator."""
    folder = tmp_path_factory.mktemp("new")
    state = folder / "cluster"
    with (
        run_s3_server(folder / "s3") as store,
        LaptopApi(state, logs_dir=state / "pods") as api,
        QuotaFront(api.kubeconfig, folder / "front") as front,
        (folder / "log").open("wb") as log,
    ):
        # Pods and everything else of the cluster reach the server itself; Jobs, and the user, by way of the front.
        words = ("--kubeconfig", str(api.kubeconfig), "--state-dir", str(state), "--controllers", "deployment,garbage")
        process = copies.start("fabula_local.process_node", *words, log=log)
        try:
            found = Place(Cluster(folder / "user"), store, front)
            found.cluster.state.mkdir()
            (found.cluster.state / "kubeconfig").write_bytes(front.kubeconfig.read_bytes())
            until(found.cluster.ready, "a node that is ready")
            yield found
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def installed(place: Place) -> Place:
    with helm.Config(kubeconfig_path=str(place.cluster.state / "kubeconfig"), namespace=SYSTEM) as config:
        config.install(
            str(CHART), "fabula", place.values(), namespace=SYSTEM, create_namespace=True, timeout=int(SECONDS)
        )
    until(lambda: ready(place.cluster), "an operator that is ready")
    return place


def test_a_typo_in_the_values_is_named_and_nothing_is_installed(place: Place) -> None:
    wrong = place.values(operater={"replicas": 1})
    kubeconfig = str(place.cluster.state / "kubeconfig")
    with (
        helm.Config(kubeconfig_path=kubeconfig, namespace=SYSTEM) as config,
        pytest.raises(helm.HelmError, match="operater"),
    ):
        config.install(str(CHART), "fabula", wrong, namespace=SYSTEM, create_namespace=True, timeout=int(SECONDS))
    found = place.doctor("default")
    assert found["EvalRun"] == ("MISSING", "is not installed: helm install with crds.enabled, or apply crds/")
    assert found["operator"][0] == "MISSING"
    assert "helm install" in found["operator"][1]


def test_without_the_training_operator_only_who_insists_on_it_waits(installed: Place) -> None:
    installed.secret("default", installed.store.access_key, installed.store.secret_key)
    installed.run("default", "FineTuneRun", "insists", {**TUNE, "backend": "PyTorchJob"})
    installed.says("default", "ftr/insists", "WaitingForTrainingOperator", "install the training operator or use Job")
    found = installed.doctor("default")
    assert found["training operator"][0] == "NOTE"
    assert "unless spec.backend is PyTorchJob" in found["training operator"][1]


def test_without_gpu_nodes_a_run_says_that_no_node_has_one(installed: Place) -> None:
    installed.run("default", "FineTuneRun", "gpus", {**TUNE, "topology": {"gpusPerNode": 8}})
    installed.says("default", "ftr/gpus", "Unschedulable", "Insufficient nvidia.com/gpu")
    found = installed.doctor("default")
    assert (found["GPUs"][0], "no node offers nvidia.com/gpu" in found["GPUs"][1]) == ("NOTE", True)


def test_a_wrong_secret_is_told_by_the_run_and_by_a_pod_of_the_doctors(installed: Place) -> None:
    installed.cluster.kubectl("create", "namespace", "wrong")
    installed.secret("wrong", installed.store.access_key, "not-the-key")
    installed.run("wrong", "DatasetBuild", "books", example())
    installed.says("wrong", "dsb/books", "CredentialsRefused", "secretRef")
    found = installed.doctor("wrong", "--first-run", "--limit", str(int(SECONDS)))
    assert found["pod: store"][0] == "MISSING"
    assert "CredentialsRefused" in found["pod: store"][1]


def test_a_secret_that_is_not_there_is_named(installed: Place) -> None:
    installed.cluster.kubectl("create", "namespace", "none")
    installed.run("none", "DatasetBuild", "books", example())
    installed.says("none", "dsb/books", "CreateContainerConfigError", f'secret "{KEYS}" not found')
    found = installed.doctor("none")
    assert found["worker secret"][0] == "MISSING"
    assert KEYS in found["worker secret"][1]


def test_a_quota_that_is_used_up_is_told_and_the_run_goes_on_once_there_is_room(installed: Place) -> None:
    installed.cluster.kubectl("create", "namespace", "few")
    installed.secret("few", installed.store.access_key, installed.store.secret_key)
    installed.quotas.pods["few"] = 1
    holder = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "somebody-elses"},
        "spec": {"nodeSelector": {"there": "none"}, "containers": [{"name": "a", "image": "a", "command": ["true"]}]},
    }  # fmt: skip
    installed.apply("few", holder)
    installed.run("few", "DatasetBuild", "books", example())
    installed.says("few", "dsb/books", "FailedCreate", "exceeded quota: few", "used: pods=1, limited: pods=1")
    found = installed.doctor("few")
    assert found["quotas"][0] == "MISSING"
    assert found["quotas"][1].startswith("few: 1 of 1 pods are used")
    assert "Finish or suspend runs, or raise it" in found["quotas"][1]

    installed.cluster.kubectl("-n", "few", "delete", "pod", "somebody-elses")
    # It has no input; what it says of that, it says from a pod, of whichever stage comes first.
    installed.says("few", "dsb/books", "InputInvalid")
    assert installed.doctor("few")["quotas"] == ("OK", "there is room in few")
