"""Talking to the cluster in use, whichever it is."""

from __future__ import annotations

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
