"""A kubeconfig for a server that a test runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def kubeconfig(folder: Path, server: str, user: dict[str, Any] | None) -> Path:
    """A kubeconfig of one context; without a user, the context names one that is not there."""
    path = folder / "kubeconfig"
    users = [] if user is None else [{"name": "me", "user": user}]
    context = {"cluster": "here", "user": "me", "namespace": "team"}
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "here", "cluster": {"server": server}}],
                "users": users,
                "contexts": [{"name": "one", "context": context}],
                "current-context": "one",
            }
        )
    )
    return path
