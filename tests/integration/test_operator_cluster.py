"""The operator with real controllers, a real node and real workers: a source that is missing, then there, and kills."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane, eventually
from tests.support.operator_driver import FINE_TUNE_SPEC, install_crds, make_namespace, run_object
from tests.support.operator_process import OperatorProcess, account_kubeconfig, certificates

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import JOB, POD, RUNS, Obj, Resource
from fabula_quickstart.prepare import episodes_gz, read_scripts

BUILD = RUNS["DatasetBuild"]
SPEC: dict[str, Any] = {
    "source": {"uri": "episodes.jsonl.gz", "licenseAccepted": True},
    "extraction": {"provider": "rules", "words": {"min": 80, "max": 200}, "workers": 2},
    "images": {"provider": "none", "require": 0},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, stage_libraries: Path) -> Iterator[ControlPlane]:
    with pytest.MonkeyPatch.context() as patch:
        # The process node finds fabula-worker as a shell would.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        with ControlPlane(tmp_path_factory.mktemp("cluster"), libraries=stage_libraries) as running:
            yield running


@pytest.fixture(scope="module")
def account(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the operator's rights, in a cluster with the CRDs."""

    async def prepare() -> Path:
        api = Api.connect(cluster.kubeconfig)
        await install_crds(api)
        target = tmp_path_factory.mktemp("account") / "kubeconfig"
        made = await account_kubeconfig(api, cluster.kubeconfig, target)
        await api.close()
        return made

    return asyncio.run(prepare())


async def test_a_missing_source_is_said_and_mended_through_kills_and_suspension(
    cluster: ControlPlane, account: Path, tmp_path: Path
) -> None:
    api = Api.connect(cluster.kubeconfig)
    tls = certificates(tmp_path)
    options = ("--worker-metrics-port", "0", "--progress-interval", "0.5", "--identity", "one")
    operator = OperatorProcess(account, tmp_path, tls, "one", *options)

    async def until(holds: Callable[[Obj], object], what: str) -> Obj:
        async def look() -> Obj | None:
            run = await api.get(BUILD, "default", "data")
            return run if run and "status" in run and holds(run["status"]) else None

        found: Obj = await eventually(look, what)
        return found

    async def edit(**changes: Any) -> None:
        await api.patch(BUILD, "default", "data", {"spec": changes})

    await api.request("POST", BUILD.path("default"), body=run_object("DatasetBuild", "default", "data", SPEC))
    with operator:
        failed = await until(lambda status: status.get("state") == "Failed", "the build to fail")
        assert failed["status"]["reason"] == "InputInvalid"
        assert "episodes.jsonl.gz" in failed["status"]["failure"]["message"]
        assert failed["status"]["failure"]["exitCode"] == 65
        source = tmp_path / "artifacts" / "episodes.jsonl.gz"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(episodes_gz(read_scripts()))
        await edit(deadline="1h")
        await until(lambda status: _stage(status, "extract") == "Running", "extraction to start")
        operator.kill()
    with operator:
        await edit(suspend=True)
        await until(lambda status: status["state"] == "Suspended", "the build to be suspended")
        operator.kill()
    with operator:
        await edit(suspend=False)
        run = await until(lambda status: status["state"] == "Succeeded", "the build to succeed")
        jobs = await api.list(JOB, "default")
        assert sorted(job["metadata"]["labels"]["fabula.dev/stage"] for job in jobs) == [
            "assemble",
            "extract",
            "ingest",
        ]
        assert run["status"]["samples"] > 0
        assert {entry["name"] for entry in run["status"]["lineage"]} == {"source"}
        assert operator.stop() == 0
    assert "Traceback" not in operator.log.read_text()
    await api.close()


SECRET = Resource("", "v1", "Secret", "secrets")
TUNE = {**FINE_TUNE_SPEC, "dataset": {"uri": "datasets/vist", "digest": "sha256:" + "a" * 64}}
WAITING: dict[str, dict[str, Any]] = {
    "account": {**SPEC, "serviceAccountName": "ghost"},
    "priority": {**SPEC, "scheduling": {"priorityClassName": "nope"}},
    "mount": SPEC,
}
NOT_THERE = {**TUNE, "template": {"image": "x/y", "command": ["/no/such/trainer"]}}
SAID = {
    "account": ("Pending", "FailedCreate", 'serviceaccount "ghost" not found'),
    "priority": ("Pending", "FailedCreate", "no PriorityClass with name nope was found"),
    "mount": ("Pending", "FailedMount", 'persistentvolumeclaim "nowhere" not found'),
}
"""Name of a run to what a person sees of it."""


async def test_runs_that_cannot_go_on_say_for_what(cluster: ControlPlane, account: Path, tmp_path: Path) -> None:
    api = Api.connect(cluster.kubeconfig)
    namespace = await make_namespace(api, "waits")
    for name, spec in WAITING.items():
        await api.request("POST", BUILD.path(namespace), body=run_object("DatasetBuild", namespace, name, spec))
    options = (
        "--worker-metrics-port", "0", "--patience", "2", "--stalled-after", "4", "--namespace", namespace,
    )  # fmt: skip
    with OperatorProcess(account, tmp_path, certificates(tmp_path), "waits", *options, "--artifact-claim", "nowhere"):

        async def told() -> bool:
            shown = await asyncio.to_thread(wide, cluster.kubeconfig, namespace)
            return all(all(words in shown.get(name, "") for words in said) for name, said in SAID.items())

        await eventually(told, "every run to say for what it waits")

        async def stalled() -> bool:
            runs = await api.list(BUILD, namespace)
            return len(runs) == len(SAID) and all(_condition(run, "Stalled") == "True" for run in runs)

        await eventually(stalled, "a long wait to be called a stall")
    await api.close()


async def test_values_reach_a_pod_as_they_are_and_a_command_that_is_not_there_is_tried_once(
    cluster: ControlPlane, account: Path, tmp_path: Path
) -> None:
    api = Api.connect(cluster.kubeconfig)
    namespace = await make_namespace(api, "values")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws"}, "stringData": {"KEY": "hidden"}}
    await api.request("POST", SECRET.path(namespace), body=secret)
    script = (
        "import json, os, sys; told = json.loads(os.environ['FABULA_CONFIG'])['spec']['template']; "
        "out = {'spec': told['args'][1:] + [told['env']['A']], 'argv': sys.argv[1:], 'env': os.environ['A']}; "
        "open(os.environ['FABULA_TERMINATION_LOG'], 'w').write(json.dumps(out))"
    )
    words = ["$(KEY)", "$$5", "$(NONE)", "$", "$$(KEY)"]
    template = {"image": "x/y", "command": ["python", "-c"], "args": [script, *words], "env": {"A": "a-$(KEY)"}}
    spec = {**TUNE, "secretRef": {"name": "aws"}, "template": template}
    path = RUNS["FineTuneRun"].path(namespace)
    await api.request("POST", path, body=run_object("FineTuneRun", namespace, "values", spec))
    await api.request("POST", path, body=run_object("FineTuneRun", namespace, "command", NOT_THERE))
    options = ("--worker-metrics-port", "0", "--namespace", namespace)
    with OperatorProcess(account, tmp_path, certificates(tmp_path), "values", *options):

        async def over() -> dict[str, Obj] | None:
            found = {
                run["metadata"]["name"]: run.get("status") or {}
                for run in await api.list(RUNS["FineTuneRun"], namespace)
            }
            return found if all(status.get("finishedAt") for status in found.values()) else None

        runs: dict[str, Obj] = await eventually(over, "both runs to end")
    assert (runs["values"]["state"], runs["command"]["reason"]) == ("Succeeded", "StartError")
    assert "/no/such/trainer: no such file or directory" in runs["command"]["failure"]["message"]
    assert [one["number"] for one in runs["command"]["attempts"]] == [1]
    pods = [pod for pod in await api.list(POD, namespace) if pod["status"]["phase"] == "Succeeded"]
    (ended,) = (status["state"]["terminated"] for pod in pods for status in pod["status"]["containerStatuses"])
    told = json.loads(ended["message"])
    # What is data arrives as it is written; fields of a pod mean what they mean in any pod.
    assert told["spec"] == [*words, "a-$(KEY)"]
    assert told["argv"] == ["hidden", "$5", "$(NONE)", "$", "$(KEY)"]
    assert told["env"] == "a-hidden"
    await api.close()


def wide(kubeconfig: Path, namespace: str) -> dict[str, str]:
    """What a person sees of each run."""
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "-n", namespace, "get", "datasetbuilds", "-o", "wide"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {line.split()[0]: line for line in done.stdout.splitlines()[1:]}


def _condition(run: Obj, type_: str) -> str:
    conditions = (run.get("status") or {}).get("conditions") or ()
    return next((str(one["status"]) for one in conditions if one["type"] == type_), "")


def _stage(status: Obj, name: str) -> str:
    return next((str(stage["state"]) for stage in status.get("stages", ()) if stage["name"] == name), "")
