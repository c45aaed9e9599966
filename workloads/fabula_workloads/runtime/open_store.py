"""The store behind a URI, and a local copy of what lies at one. boto3 is loaded only where it is used."""

from __future__ import annotations

from pathlib import Path

from fabula_api.uri import FILE
from fabula_workloads.runtime.failures import NotFound
from fabula_workloads.runtime.file_store import FileStore
from fabula_workloads.runtime.store import Store, local_path, resolve_uri


def open_store(uri: str) -> Store:
    """The store rooted at an absolute URI. S3 credentials come from the ambient chain, as boto3 finds them."""
    absolute = resolve_uri(uri, uri)
    if absolute.startswith(FILE):
        return FileStore(absolute)
    from fabula_workloads.runtime.s3_store import S3Store

    return S3Store(absolute)


def materialize(uri: str, cache: Path) -> Path:
    """A local path of a stored file or folder: itself for `file://`, a checked download below `cache` for `s3://`.

    Raises NotFound when there is neither a file nor a folder. A second call for unchanged content downloads nothing.
    """
    absolute = resolve_uri(uri, uri)
    if absolute.startswith(FILE):
        path = local_path(absolute)
        if not path.exists():
            raise NotFound(absolute)
        return path
    from fabula_workloads.runtime.s3_store import download_tree

    return download_tree(absolute, cache)
