"""Least privilege: the operator does everything it can do under the chart's own roles, and a server writes down what
that takes. The list is kept in tests/rights_used.yaml; every right on it is granted by the chart, and no other is.

`make rights` writes the list anew. The whole suite is held to it besides: see tests/conftest.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.support.kueue import WORKLOAD_CRD
from tests.support.laptop import LaptopApi
from tests.support.operator_driver import (
    CRD,
    DATASET_SPEC,
    EVAL_SPEC,
    FINE_TUNE_SPEC,
    MODEL_DIGEST,
    install_crds,
    make_namespace,
    run_object,
)
from tests.support.operator_process import (
    ACCOUNT,
    Certificates,
    OperatorProcess,
    certificates,
    leading,
    stranger_pod,
    token,
    trust,
)
from tests.support.patience import SECONDS, eventually
from tests.support.rights import VARIABLE, Right, beyond, granted, keep, kept, seen
from tests.support.scripted_cluster import Ending, ScriptedCluster, Task, failure, success

from fabula_local.manifests.install import pytorchjob_crd
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import CONFIG_MAP, JOB, POD, PYTORCH_JOB, RUNS, Obj, Resource

helm = pytest.importorskip("helm_python", reason="Helm's engine comes with the test extra")
CHART = Path(__file__).parents[2] / "charts" / "fabula"
SYSTEM, TEAM = "fabula-system", "team"
RBAC = "rbac.authorization.k8s.io"
NOT_ASKED = {
    Right(f"fabula.dev/{plural}/finalizers", "update") for plural in ("datasetbuilds", "evalruns", "finetuneruns")
}
"""No request: Kubernetes' admission OwnerReferencesPermissionEnforcement asks whether one may do it."""
TUNE = {**FINE_TUNE_SPEC, "dataset": {"uri": "datasets/vist", "digest": MODEL_DIGEST}, "ttl": "1s"}
BASE_ARM = {**EVAL_SPEC["arms"][0], "name": "base"}
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "data": ("DatasetBuild", {**DATASET_SPEC, "ttl": "1s"}),
    "eval": ("EvalRun", {**EVAL_SPEC, "arms": [BASE_ARM], "gates": [], "ttl": "1s"}),
    "job": ("FineTuneRun", {**TUNE, "backend": "Job", "topology": {"nodes": 2, "gpusPerNode": 1, "device": "cpu"}}),
    # By another seed it is other work, or whichever of the two came second would take what the first one makes.
    "torch": ("FineTuneRun", {**TUNE, "backend": "PyTorchJob", "seed": 7}),
}


def rendered() -> list[Obj]:
    """Accounts, roles and bindings of the chart, those of its hook included."""
    values = {"store": {"root": "s3://stories/fabula"}, "statusServer": {"tls": {"mode": "job"}}}
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name="fabula", namespace=SYSTEM)
    found = [one for name, text in texts.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    kinds = ("ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    return [one for one in found if one["kind"] in kinds]


def roles_of(account: str) -> list[Obj]:
    """Rules of all roles that the chart binds to one of its ServiceAccounts."""
    objects = rendered()
    bound = {
        one["roleRef"]["name"]
        for one in objects
        if one["kind"].endswith("Binding") and any(subject["name"] == account for subject in one["subjects"])
    }
    return [rule for one in objects if one["kind"].endswith("Role") and one["metadata"]["name"] in bound
            for rule in one["rules"]]  # fmt: skip


@pytest.mark.parametrize(
    ("account", "holder"),
    [("fabula", "operator"), ("fabula-certificate", "certificate"), ("fabula-trial", "trial")],
)
def test_the_chart_grants_what_is_used_and_nothing_else(account: str, holder: str) -> None:
    used, given = kept()[holder], granted(roles_of(account))
    assert used - given == set(), "used, and not granted by the chart"
    assert given - used - NOT_ASKED == set(), "granted by the chart, and never used"


def test_the_operator_reads_no_secret_and_workers_ask_for_nothing() -> None:
    assert set(kept()) == {"operator", "certificate", "trial"}, "nobody else of ours may ask the API for anything"
    assert not [right for right in kept()["operator"] if "secrets" in right.resource]


def test_whatever_a_worker_asks_for_fails_the_suite(tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    asked = {"verb": "get", "apiGroup": "", "resource": "secrets", "subresource": ""}
    for account in ("team:fabula-worker", "team:default", "fabula-system:fabula", "team:bot"):
        with audit.open("a") as file:
            file.write(json.dumps({"user": f"system:serviceaccount:{account}", **asked}) + "\n")
    assert beyond(audit) == ["worker: get secrets", "operator: get secrets"]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "audit.jsonl"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


@pytest.fixture
def laptop(audit: Path, tmp_path: Path) -> Iterator[LaptopApi]:
    with LaptopApi(tmp_path / "laptop") as api:
        yield api


@pytest.fixture
async def api(laptop: LaptopApi) -> AsyncIterator[Api]:
    """The administrator, in a cluster with the chart's accounts and roles, the training operator's kind and Kueue's."""
    api = Api.connect(laptop.kubeconfig)
    await install_crds(api)
    for definition in (pytorchjob_crd(), WORKLOAD_CRD):
        await api.request("POST", CRD.path(), body=definition)
    await make_namespace(api, SYSTEM)
    for one in rendered():
        kind, place = one["kind"], one["metadata"].get("namespace")
        resource = Resource(RBAC, "v1", kind, f"{kind.lower()}s", namespaced=place is not None)
        if kind == "ServiceAccount":
            resource = ACCOUNT
        await api.request("POST", resource.path(place), body=one)
    yield api
    await api.close()


async def as_account(api: Api, laptop: LaptopApi, name: str, target: Path) -> Path:
    """A kubeconfig with a token of the chart's ServiceAccount."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = await api.request("POST", ACCOUNT.path(SYSTEM, name, "token"), body=request)
    config = yaml.safe_load(laptop.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
    target.write_text(yaml.safe_dump(config))
    return target


class Faults:
    """The first pod of each training fails as a lost node does; then it hangs until the run was suspended once."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.go_on: set[str] = set()

    def __call__(self, task: Task) -> Ending:
        name = str(task.config["run"]["name"])
        if task.stage != "train":
            return success(task)
        if task.attempt == 1:
            return failure("TryAgain", "the node went away", 75)
        return success(task) if name in self.go_on else Ending(hangs=True)


async def test_everything_the_operator_does_is_recorded(
    laptop: LaptopApi, api: Api, audit: Path, tmp_path: Path
) -> None:
    await make_namespace(api, TEAM)
    stale = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fabula-status-ca"}, "data": {"ca.crt": ""}}
    queue = await make_namespace(api, "queue")
    await api.request("POST", CONFIG_MAP.path(queue), body=stale)
    account = await as_account(api, laptop, "fabula", tmp_path / "operator.kubeconfig")
    tls, faults = certificates(tmp_path), Faults()
    options = (
        "--lease-namespace", SYSTEM, "--lease-name", "fabula", "--retry-backoff", "0", "--patience", "0.5",
        "--progress-interval", "0.1", "--resync", "1",
    )  # fmt: skip
    with OperatorProcess(account, tmp_path, tls, "one", *options) as operator:
        await leading(operator)
        await a_run_in_a_queue(api, queue)
        cluster = ScriptedCluster(api, TEAM, faults, pytorch_jobs=True)
        for name, (kind, spec) in SPECS.items():
            await api.request("POST", RUNS[kind].path(TEAM), body=run_object(kind, TEAM, name, spec))
        # No pod comes for a while, so the operator looks for the reason.
        await eventually(lambda: listed_events(audit), "a look at the events of children without pods")
        for name, resource in (("job", JOB), ("torch", PYTORCH_JOB)):
            await a_suspension(api, cluster, faults, name, resource)

        async def gone() -> bool:
            await cluster.step()
            return not [one for kind in RUNS.values() for one in await api.list(kind, TEAM)]

        await reports(api, operator, tls, queue)
        await eventually(gone, "every run to end, and to be deleted once its time to live is over")
        await a_trial(api, laptop, tmp_path)
        assert operator.stop() == 0
    await a_certificate(api, laptop, tmp_path)
    log = operator.log.read_text()
    assert "Traceback" not in log, log
    assert " 403 " not in log, log
    used = seen(audit)
    if os.environ.get("FABULA_RECORD_RIGHTS") == "1":
        keep(used)
    assert used == kept(), "what is asked of the API has changed: read `make rights`'s difference"


async def listed_events(audit: Path) -> bool:
    return Right("events", "list") in seen(audit).get("operator", set())


async def a_run_in_a_queue(api: Api, namespace: str) -> None:
    spec = {**TUNE, "queue": "gpus"}
    path = RUNS["FineTuneRun"].path(namespace)
    await api.request("POST", path, body=run_object("FineTuneRun", namespace, "queued", spec))

    async def waits() -> bool:
        run = await api.get(RUNS["FineTuneRun"], namespace, "queued")
        return bool(run and (run.get("status") or {}).get("reason") == "QueueNotAdmitted")

    await eventually(waits, "a run that waits in its queue")


async def a_suspension(api: Api, cluster: ScriptedCluster, faults: Faults, name: str, child: Resource) -> None:
    """Suspend the run while its second attempt works, and let it go on."""
    path = RUNS["FineTuneRun"]

    async def state(wanted: str, attempt: int) -> bool:
        await cluster.step()
        run = await api.get(path, TEAM, name)
        status = (run or {}).get("status") or {}
        attempts = status.get("attempts") or ()
        pods = await api.list(POD, TEAM, f"fabula.dev/attempt={attempt},fabula.dev/run-name={name}")
        at_work = bool(pods) or wanted != "Running"
        return bool(status.get("state") == wanted and attempts and attempts[-1]["number"] == attempt and at_work)

    await eventually(lambda: state("Running", 2), f"the second attempt of {name}")
    await api.patch(path, TEAM, name, {"spec": {"suspend": True}})
    await eventually(lambda: state("Suspended", 2), f"{name} to be suspended")
    faults.go_on.add(name)
    await api.patch(path, TEAM, name, {"spec": {"suspend": False}})


async def reports(api: Api, operator: OperatorProcess, tls: Certificates, namespace: str) -> None:
    """A pod that the operator has never heard of reports on a run."""
    run = await api.get(RUNS["FineTuneRun"], namespace, "queued")
    assert run is not None
    made = await stranger_pod(api, namespace)
    bearer = await token(api, namespace, f"fabula.dev/finetuneruns/{namespace}/queued/{run['metadata']['uid']}", made)
    url = f"https://127.0.0.1:{operator.status_port}/v1alpha1/namespaces/{namespace}/finetuneruns/queued/status"
    async with httpx2.AsyncClient(verify=trust(tls), trust_env=False, timeout=SECONDS) as http:
        answer = await http.post(url, json={"trainerStatus": {}}, headers={"Authorization": f"Bearer {bearer}"})
    assert (answer.status_code, "does not belong" in answer.text) == (403, True)


async def a_trial(api: Api, laptop: LaptopApi, folder: Path) -> None:
    """The chart's `helm test` makes a run, waits for its end and deletes it."""
    account = await as_account(api, laptop, "fabula-trial", folder / "trial.kubeconfig")
    (folder / "run.yaml").write_text(yaml.safe_dump(run_object("DatasetBuild", SYSTEM, "fabula-trial", DATASET_SPEC)))
    command = shutil.which("fabula-trial", path=str(Path(sys.executable).parent))
    assert command is not None
    arguments = ["--kubeconfig", str(account), "--file", str(folder / "run.yaml"), "--limit", str(SECONDS)]
    process = subprocess.Popen([command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    cluster = ScriptedCluster(api, SYSTEM)

    async def over() -> bool:
        await cluster.step()
        return process.poll() is not None

    await eventually(over, "the trial to end")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "it works: " in said


async def a_certificate(api: Api, laptop: LaptopApi, folder: Path) -> None:
    """The chart's hook makes the certificate, and makes it anew for another name."""
    account = await as_account(api, laptop, "fabula-certificate", folder / "certificate.kubeconfig")
    command = shutil.which("fabula-certificate", path=str(Path(sys.executable).parent))
    assert command is not None
    for name in ("fabula-status", "fabula-status.other"):
        arguments = [command, "--kubeconfig", str(account), "--namespace", SYSTEM, "--into", "fabula-status-tls"]
        done = await asyncio.to_thread(
            subprocess.run, [*arguments, "--name", name], capture_output=True, text=True, check=False, timeout=SECONDS
        )
        assert done.returncode == 0, done.stdout + done.stderr
