"""The ConfigMap with the status server's certificate authority, one for each namespace that has runs."""

from __future__ import annotations

from typing import Any

CONFIG_MAP = "fabula-status-ca"
KEY = "ca.crt"


def status_ca(namespace: str, certificate: str) -> dict[str, Any]:
    """The ConfigMap for a namespace. It has no owner: all runs of the namespace share it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": CONFIG_MAP,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "fabula-operator",
                "app.kubernetes.io/managed-by": "fabula-operator",
                "app.kubernetes.io/part-of": "fabula",
            },
        },
        "data": {KEY: certificate},
    }
