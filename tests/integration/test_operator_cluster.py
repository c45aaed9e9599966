"""The operator with real controllers, a real node and real workers: a source that is missing, then there, and kills."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control_plane import ControlPlane, eventually
from tests.support.operator_driver import install_crds, run_object
from tests.support.operator_process import OperatorProcess, account_kubeconfig, certificates

from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import JOB, RUNS, Obj
from fabula_workloads.quickstart import episodes_gz, read_scripts

BUILD = RUNS["DatasetBuild"]
SPEC: dict[str, Any] = {
    "source": {"uri": "episodes.jsonl.gz", "licenseAccepted": True},
    "extraction": {"provider": "rules", "words": {"min": 80, "max": 200}, "workers": 2},
    "images": {"provider": "none", "require": 0},
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    # The process node finds fabula-worker as a shell would.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with ControlPlane(tmp_path / "cluster") as running:
        yield running


async def test_a_missing_source_is_said_and_mended_through_kills_and_suspension(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    api = Api.connect(cluster.kubeconfig)
    await install_crds(api)
    account = await account_kubeconfig(api, cluster.kubeconfig, tmp_path / "operator.kubeconfig")
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


def _stage(status: Obj, name: str) -> str:
    return next((str(stage["state"]) for stage in status.get("stages", ()) if stage["name"] == name), "")
