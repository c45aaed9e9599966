"""`fabula doctor --first-run` on the laptop's cluster: its Jobs and PyTorchJobs are real pods, Kueue is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.control_plane import ControlPlane
from tests.support.kueue_stand_in import Kueue
from tests.support.patience import SECONDS

from fabula_cli.bootstrap import install


def test_what_a_cluster_has_is_tried_and_taken_away_again(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    with ControlPlane(tmp_path / "cluster", "--gpus", "1") as cluster:
        install(cluster.kubeconfig)
        kubectl = [str(Path(sys.executable).with_name("kubectl")), f"--kubeconfig={cluster.kubeconfig}"]
        label = ["label", "node", "--all", "nvidia.com/gpu.product=NVIDIA-H200"]
        subprocess.run([*kubectl, *label], check=True, capture_output=True, timeout=SECONDS)
        with Kueue(cluster.kubeconfig, "default", "team"):
            command = [
                sys.executable, "-m", "fabula_cli.main", "doctor", "--first-run", "-o", "json",
                f"--kubeconfig={cluster.kubeconfig}", f"--artifact-root={(tmp_path / 'artifacts').as_uri()}",
            ]  # fmt: skip
            done = subprocess.run(
                [*command, "--limit", str(SECONDS)], capture_output=True, text=True, timeout=SECONDS, check=False,
                env={**os.environ, "COLUMNS": "200"},
            )  # fmt: skip
        left = subprocess.run(
            [*kubectl, "get", "jobs,pytorchjobs", "-o", "name"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    assert done.returncode == 1, done.stderr
    said = {(one["about"], one["state"]): one["said"] for one in json.loads(done.stdout)}
    assert "committed once" in said["pod: store", "OK"]
    assert "build for CPUs" in said["GPU pod, NVIDIA-H200: GPU", "MISSING"]
    assert "had no pod" in said["training operator", "OK"], said
    assert "was admitted, started and ended" in said["Kueue, team", "OK"]
    assert not [about for about, state in said if state == "DIFFERS"], said
    assert left.stdout == ""
    assert list((tmp_path / "artifacts").rglob("*probe*")) == []
