"""Where a model's files are: a folder of the artifact store, or a Hugging Face Hub repository, downloaded once."""

from __future__ import annotations

from pathlib import Path

from fabula_api.shared_spec import ModelSource
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, NotFound, TryAgain


def model_folder(context: StageContext, source: ModelSource, field: str) -> Path:
    """Local folder of a model; `field` is the spec field that an error names, such as `images.model`."""
    if source.uri is not None:
        try:
            return context.local(source.uri)
        except NotFound as error:
            raise InputInvalid(f"{field}.uri: there is no model folder at {error.uri}") from error
    if source.name is None:
        raise ConfigInvalid(f"{field} names no model: set {field}.name or {field}.uri")
    return _from_hub(source.name, source.revision, field, context.cache / "models")


def model_label(source: ModelSource) -> str:
    """The model for people and for provenance: its name with revision, or the last part of its folder's URI."""
    if source.name is not None:
        return f"{source.name}@{source.revision}" if source.revision else source.name
    return (source.uri or "").rstrip("/").rpartition("/")[2]


def _from_hub(name: str, revision: str | None, field: str, cache: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{field}: {name}" + (f" at {revision}" if revision else "")
    try:
        return Path(snapshot_download(name, revision=revision, cache_dir=cache))
    except GatedRepoError as error:
        raise CredentialsRefused(f"{where} is gated: accept its terms and put HF_TOKEN into secretRef") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise InputInvalid(f"{where} is not on the Hub, or HF_TOKEN may not see it") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise TryAgain(
            f"{where} could not be downloaded from the Hub ({type(error).__name__})", "HubUnavailable"
        ) from error
