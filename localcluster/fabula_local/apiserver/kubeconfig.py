"""The administrator's kubeconfig."""

import base64
from pathlib import Path

import yaml

from fabula_local.apiserver.files import write_private

CONTEXT = "fabula-local"


def write_kubeconfig(path: Path, url: str, authority: bytes, token: str) -> None:
    """Write a kubeconfig that only its owner can read."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"}}],
        "current-context": CONTEXT,
    }
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())
