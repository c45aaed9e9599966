"""Models of the Hugging Face Hub: which commit a revision is, and a local copy of one. Failures have names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fabula_api.externals import COMMIT
from fabula_api.shared_spec import ModelSource
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, TryAgain


def hub_commit(source: ModelSource, field: str) -> str:
    """`commit:<40 hex digits>` that the model's revision is now; the newest, where it names none."""
    from huggingface_hub import HfApi

    with _named(source, field) as name:
        found = HfApi().model_info(name, revision=source.revision).sha
    if not found:
        raise TryAgain(f"{field}: the Hub names no commit of {name}", "HubUnavailable")
    return COMMIT + found


def from_hub(source: ModelSource, field: str, cache: Path, digest: str | None, file: str | None = None) -> str:
    """Local path of a repository, or of one file of it, at the commit that `digest` names, else at its revision."""
    from huggingface_hub import hf_hub_download, snapshot_download

    revision = digest.removeprefix(COMMIT) if digest and digest.startswith(COMMIT) else source.revision
    with _named(source, field) as name:
        if file is not None:
            return str(hf_hub_download(name, file, revision=revision, cache_dir=cache))
        return str(snapshot_download(name, revision=revision, cache_dir=cache))


@contextmanager
def _named(source: ModelSource, field: str) -> Iterator[str]:
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
        yield name
    except GatedRepoError as error:
        raise CredentialsRefused(f"{where} is gated: accept its terms and put HF_TOKEN into secretRef") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise InputInvalid(f"{where} is not on the Hub, or HF_TOKEN may not see it") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise TryAgain(
            f"{where} could not be downloaded from the Hub ({type(error).__name__})", "HubUnavailable"
        ) from error
