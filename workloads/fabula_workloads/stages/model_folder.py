"""Where a model's files are: a folder of the artifact store, or a Hugging Face Hub repository, downloaded once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fabula_api.artifact import Manifest
from fabula_api.shared_spec import ModelSource
from fabula_api.uri import FILE
from fabula_workloads.runtime.artifact import read_manifest
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, NotFound, TryAgain
from fabula_workloads.runtime.store import Store, open_store


def model_folder(context: StageContext, source: ModelSource, field: str) -> Path:
    """Local folder of a model; `field` is the spec field that an error names, such as `images.model`."""
    if source.uri is not None:
        try:
            store = open_store(context.resolve(source.uri))
            if not store.uri.startswith(FILE) and (manifest := read_manifest(store)):
                return artifact_folder(context, store, manifest)
            return context.local(source.uri)
        except NotFound as error:
            raise _no_folder(field, error) from error
    return Path(_from_hub(source, field, context.cache / "models"))


def model_config(context: StageContext, source: ModelSource, field: str) -> bytes:
    """A model's config.json. Nothing else of the model is downloaded."""
    if source.uri is None:
        return Path(_from_hub(source, field, context.cache / "models", "config.json")).read_bytes()
    try:
        return open_store(context.resolve(source.uri)).read("config.json")
    except NotFound as error:
        raise _no_folder(field, error) from error


def model_config_digest(context: StageContext, source: ModelSource, field: str) -> str:
    """`sha256:<hex>` of a model's config.json."""
    return "sha256:" + hashlib.sha256(model_config(context, source, field)).hexdigest()


def artifact_folder(context: StageContext, store: Store, manifest: Manifest) -> Path:
    """A local folder with an artifact's parts. What else lies below it, a run's checkpoints say, is not fetched."""
    if store.uri.startswith(FILE):
        return context.local(store.uri)
    folder = context.cache / "artifacts" / manifest.digest.removeprefix("sha256:")
    for part in manifest.parts:
        local = folder / part.path
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            store.download(part.path, local)
    return folder


def model_label(source: ModelSource) -> str:
    """The model for people and for provenance: its name with revision, or the last part of its folder's URI."""
    if source.name is not None:
        return f"{source.name}@{source.revision}" if source.revision else source.name
    return (source.uri or "").rstrip("/").rpartition("/")[2]


def _no_folder(field: str, error: NotFound) -> InputInvalid:
    return InputInvalid(f"{field}.uri: there is no model folder at {error.uri}")


def _from_hub(source: ModelSource, field: str, cache: Path, file: str | None = None) -> str:
    """Local path of a repository, or of one file of it."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, revision = source.name, source.revision
    if name is None:
        raise ConfigInvalid(f"{field} names no model: set {field}.name or {field}.uri")
    where = f"{field}: {name}" + (f" at {revision}" if revision else "")
    try:
        if file is not None:
            return str(hf_hub_download(name, file, revision=revision, cache_dir=cache))
        return str(snapshot_download(name, revision=revision, cache_dir=cache))
    except GatedRepoError as error:
        raise CredentialsRefused(f"{where} is gated: accept its terms and put HF_TOKEN into secretRef") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise InputInvalid(f"{where} is not on the Hub, or HF_TOKEN may not see it") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise TryAgain(
            f"{where} could not be downloaded from the Hub ({type(error).__name__})", "HubUnavailable"
        ) from error
