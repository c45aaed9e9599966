"""Talking to the cluster in use, whichever it is."""

from __future__ import annotations

from pathlib import Path

from lightkube import Client, KubeConfig
from lightkube.resources.core_v1 import Namespace

MANAGER = "fabula-cli"


def connect(kubeconfig: Path) -> Client:
    """A client for the current context of a kubeconfig. Raises ConfigError when there is none."""
    return Client(config=KubeConfig.from_file(kubeconfig), field_manager=MANAGER)


def reachable(kubeconfig: Path) -> bool:
    """Whether the API server answers."""
    try:
        connect(kubeconfig).get(Namespace, "default")
    except Exception:
        return False
    return True
