"""Models of the Hugging Face Hub: which commit a revision is, and a local copy of one. Failures have names.

Copies lie in one folder for all that share it: the pods of a cluster where the installation gives them a cache of
models, else one pod. Any number of processes may ask for the same model at once and die while they fetch it: the Hub's
client locks each file, goes on where a dead one stopped, and puts a file in its place when it is whole.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fabula_api.externals import COMMIT
from fabula_api.shared_spec import ModelSource
from fabula_api.worker import MODEL_CACHE_VARIABLE
from fabula_workloads.models.hub_files import needed_files
from fabula_workloads.models.hub_settings import hub_endpoint, hub_failure
from fabula_workloads.runtime.failures import ConfigInvalid, TryAgain, WorkerError, from_os_error
from fabula_workloads.runtime.shared_copies import room, shared_folder

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR})
_WHOLE = "whole"
"""Folder of the cache with a list of files for each copy that is whole: who finds it asks the Hub nothing."""


def models_folder(scratch: Path) -> Path:
    """Where models of the Hub are kept: the cluster's cache, or the pod's own scratch folder."""
    shared = os.environ.get(MODEL_CACHE_VARIABLE)
    return Path(shared) if shared else scratch / "models"


def hub_commit(source: ModelSource, field: str) -> str:
    """`commit:<40 hex digits>` that the model's revision is now; the newest, where it names none."""
    from huggingface_hub import HfApi

    with _named(source, field) as name:
        commit = HfApi(endpoint=hub_endpoint()).model_info(name, revision=source.revision).sha
    if not commit:
        raise TryAgain(f"{field}: the Hub names no commit of {name}", "HubUnavailable")
    return COMMIT + commit


def from_hub(source: ModelSource, field: str, cache: Path, digest: str | None, file: str | None = None) -> str:
    """Local path of a repository's model, or of one file of it, at the commit that `digest` names, else at its
    revision."""
    from huggingface_hub import hf_hub_download

    revision = digest.removeprefix(COMMIT) if digest and digest.startswith(COMMIT) else source.revision
    with _named(source, field) as name:
        if file is not None:
            return str(hf_hub_download(name, file, revision=revision, cache_dir=cache, endpoint=hub_endpoint()))
        return str(_whole(cache, name, revision) or _fetch(cache, name, revision, field))


def _fetch(cache: Path, name: str, revision: str | None, field: str) -> Path:
    """Download what is not there yet."""
    from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache

    endpoint = hub_endpoint()
    info = HfApi(endpoint=endpoint).model_info(name, revision=revision, files_metadata=True)
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
    wanted = needed_files(sizes)
    cache.mkdir(parents=True, exist_ok=True)
    absent = [
        file
        for file in wanted
        if not isinstance(try_to_load_from_cache(name, file, cache_dir=cache, revision=info.sha), str)
    ]
    missing, free = sum(sizes[file] for file in absent), shutil.disk_usage(cache).free
    if missing > free and (copies := shared_folder()) is not None and copies.is_relative_to(cache):
        free = room(copies, missing)
    if missing > free:
        raise TryAgain(
            f"{field}: {name} needs {missing / 1e9:.1f} GB more in {cache}, which has {free / 1e9:.1f} GB left: give "
            "workers a cache of models (modelCache), or more of their nodes' disks (scratchLimit)",
            "NoSpace",
        )
    folder = snapshot_download(
        name,
        revision=info.sha,
        cache_dir=cache,
        allow_patterns=[glob.escape(file) for file in wanted],
        endpoint=endpoint,
    )
    _note_whole(cache, name, str(info.sha), wanted)
    return Path(folder)


def _whole(cache: Path, name: str, revision: str | None) -> Path | None:
    """The copy of that commit, if all its files are there."""
    try:
        wanted: list[str] = json.loads(_note(cache, name, revision or "").read_bytes())
    except (OSError, ValueError):
        return None
    folder = cache / f"models--{name.replace('/', '--')}" / "snapshots" / str(revision)
    return folder if all((folder / file).is_file() for file in wanted) else None


def _note_whole(cache: Path, name: str, commit: str, files: list[str]) -> None:
    note = _note(cache, name, commit)
    note.parent.mkdir(exist_ok=True)
    half = note.with_name(f".{uuid.uuid4().hex}")
    half.write_text(json.dumps(files))
    half.replace(note)


def _note(cache: Path, name: str, commit: str) -> Path:
    return cache / _WHOLE / f"{name.replace('/', '--')}@{commit}.json"


@contextmanager
def _named(source: ModelSource, field: str) -> Iterator[str]:
    name, revision = source.name, source.revision
    if name is None:
        raise ConfigInvalid(f"{field} names no model: set {field}.name or {field}.uri")
    where = f"{field}: {name}" + (f" at {revision}" if revision else "")
    try:
        yield name
    except WorkerError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise from_os_error(error, str(error.filename or "the folder of models")) from error
        if (failure := hub_failure(error, where)) is None:
            raise
        raise failure from error
