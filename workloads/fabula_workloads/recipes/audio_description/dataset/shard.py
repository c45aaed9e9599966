"""A film's file as `collect` made it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fabula_workloads.runtime.artifact import sha256_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store


def shard(collected: Store, path: str, sha256: str, scratch: Path) -> Path:
    """Fetch it. A film has a file of its own: several are on their way at once. Raises InputInvalid where it is not
    what the ledger names."""
    local = scratch / hashlib.sha256(path.encode()).hexdigest()
    collected.download(path, local)
    with local.open("rb") as file:
        if sha256_of(file) != sha256:
            raise InputInvalid(
                f"{collected.uri}/{path} is not the file that the ledger names; delete its outcome to read the film "
                "again"
            )
    return local
