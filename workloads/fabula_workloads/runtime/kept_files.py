"""Files that a sharded stage leaves beside its ledger, which has the hash of each."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fabula_workloads.runtime.artifact import sha256_of
from fabula_workloads.runtime.failures import InputInvalid
from fabula_workloads.runtime.store import Store


def keep_file(store: Store, path: str, file: Path) -> str:
    """Store a local file; its hash, for the outcome that names it."""
    store.upload(file, path)
    with file.open("rb") as content:
        return sha256_of(content)


def fetched_file(made: Store, path: str, sha256: str | None, scratch: Path) -> Path:
    """A file that a sharded stage left, under a name of its own: several are on their way at once. Raises InputInvalid
    where it is not what the ledger names."""
    local = scratch / hashlib.sha256(path.encode()).hexdigest()
    if not local.exists():
        made.download(path, local)
    with local.open("rb") as file:
        if sha256_of(file) != sha256:
            raise InputInvalid(
                f"{made.uri}/{path} is not the file that the ledger names; delete its outcome to make it again"
            )
    return local
