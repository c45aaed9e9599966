"""The Hub's variables, and what an error of its client means: which setting is wrong, or that it may work later."""

from __future__ import annotations

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, TryAgain, WorkerError
from fabula_workloads.runtime.http_settings import causes, is_address, is_of_http, trim_surroundings, way, wrong_setting
from fabula_workloads.runtime.trimmed_setting import trimmed_setting

ENDPOINT = "https://huggingface.co"
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def hub_endpoint() -> str:
    """The Hub's address. Its variables and those of proxies are rid of blanks at their ends.

    Raises ConfigInvalid or CredentialsRefused for what no request gets through with.
    """
    for name in _TOKENS:
        # The Hub's client takes line breaks out by itself.
        if not (trimmed_setting(name) or "").isascii():
            raise CredentialsRefused(f"{name} has letters that no token has; correct the Secret")
    trim_surroundings()
    endpoint = (trimmed_setting("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    if not is_address(endpoint):
        shown = "" if "@" in endpoint else f": {endpoint!r}"
        raise ConfigInvalid(f"HF_ENDPOINT{shown} is no address; write it as {ENDPOINT}, or unset it")
    return endpoint


def hub_failure(error: Exception, where: str) -> WorkerError | None:
    """The failure behind an error while `where` was asked for, unless it is of the disk; None for what is no trouble of
    the Hub's."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return CredentialsRefused(f"{where} is gated: accept its terms and put HF_TOKEN into secretRef")
    if isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError)):
        return InputInvalid(f"{where} is not on the Hub, or HF_TOKEN may not see it")
    if isinstance(error, OfflineModeIsEnabled):
        return ConfigInvalid(f"{where} is in no cache here, and HF_HUB_OFFLINE forbids to ask the Hub: unset it")
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return InputInvalid(f"{where} has no such file on the Hub: is it a model?")
    if isinstance(error, HfHubHTTPError):
        return _answered(error.response.status_code, where, type(error).__name__)
    if setting := wrong_setting(error, "the Hub", "HF_ENDPOINT"):
        return setting
    last = list(causes(error))[-1]
    if isinstance(error, OSError) or is_of_http(error) or is_of_http(last):
        kind = type(last if is_of_http(last) else error).__name__
        return TryAgain(f"{where} could not be downloaded from the Hub ({kind}{way()})", "HubUnavailable")
    if isinstance(error, ValueError) and type(error).__name__ == "JSONDecodeError":
        return TryAgain(
            f"{where}: what answers is no Hub: does HF_ENDPOINT name one, or does a proxy or a login page "
            "answer in its place?",
            "HubUnavailable",
        )
    return None


def _answered(status: int, where: str, kind: str) -> WorkerError:
    if status == 401:
        return CredentialsRefused(
            f"{where}: the Hub does not take HF_TOKEN (401): correct it in secretRef, or unset it"
        )
    if status == 403:
        return CredentialsRefused(
            f"{where}: HF_TOKEN has no permission for it (403): give it the right to read this repository",
            "NoPermission",
        )
    return TryAgain(f"{where} could not be downloaded from the Hub ({kind}, {status})", "HubUnavailable")
