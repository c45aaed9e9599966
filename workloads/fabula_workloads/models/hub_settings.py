"""The Hub's variables, and what an error of its client means: which setting is wrong, or that it may work later."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, TryAgain, WorkerError
from fabula_workloads.runtime.trimmed_setting import trimmed_setting

ENDPOINT = "https://huggingface.co"
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
_BUNDLE = "SSL_CERT_FILE"
_OF_HTTP = ("httpx", "httpx2")
"""Libraries whose errors the Hub's client passes on as they are."""
_NO_TRUST = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
_NO_BUNDLE = ("NO_CERTIFICATE_OR_CRL_FOUND", "PEM lib")


def hub_endpoint() -> str:
    """The Hub's address. Its variables and those of proxies are rid of blanks at their ends.

    Raises ConfigInvalid or CredentialsRefused for what no request gets through with.
    """
    for name in _TOKENS:
        # The Hub's client takes line breaks out by itself.
        if not (trimmed_setting(name) or "").isascii():
            raise CredentialsRefused(f"{name} has letters that no token has; correct the Secret")
    for name in (*_PROXIES, "NO_PROXY", "no_proxy", _BUNDLE):
        trimmed_setting(name)
    endpoint = (trimmed_setting("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    if not is_address(endpoint):
        raise ConfigInvalid(f"HF_ENDPOINT: {endpoint!r} is no address; write it as {ENDPOINT}, or unset it")
    return endpoint


def is_address(text: str) -> bool:
    """Whether it is an http or https URL with a host, and a port where it names one."""
    try:
        parts = urlsplit(text)
        return bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0) and not any(
            letter.isspace() or not letter.isprintable() for letter in text
        )
    except ValueError:
        return False


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
    causes = list(_causes(error))
    if setting := next(filter(None, map(_setting, causes)), None):
        return setting
    if isinstance(error, OSError) or any(_is_of_http(cause) for cause in causes):
        kind = type(causes[-1] if _is_of_http(causes[-1]) else error).__name__
        return TryAgain(f"{where} could not be downloaded from the Hub ({kind}{_way()})", "HubUnavailable")
    if isinstance(error, ValueError) and type(error).__name__ == "JSONDecodeError":
        return TryAgain(
            f"{where}: what answers at {os.environ.get('HF_ENDPOINT', ENDPOINT)} is no Hub: does HF_ENDPOINT name one, "
            "or does a proxy or a login page answer in its place?",
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


def _setting(error: BaseException) -> ConfigInvalid | None:
    """What no wait mends."""
    text = str(error)
    if any(words in text for words in _NO_BUNDLE) or (isinstance(error, FileNotFoundError) and _is_no_bundle(error)):
        return ConfigInvalid(
            f"{_BUNDLE} names {os.environ.get(_BUNDLE, 'a file')}, which is not there or holds no certificate in PEM",
            "CertificateRefused",
        )
    if isinstance(error, ssl.SSLError) or _is_of_http(error):
        if "not yet valid" in text:
            return ConfigInvalid("the certificate of the Hub is not valid yet: is the node's clock right?", "ClockSkew")
        if any(words in text for words in _NO_TRUST):
            return ConfigInvalid(
                "the certificate of the Hub, or of the proxy before it, is not trusted, or it speaks no TLS: give its "
                f"authority's file as {_BUNDLE}, or correct HF_ENDPOINT",
                "CertificateRefused",
            )
    if "proxy URL" in text or "SOCKS proxy" in text or type(error).__name__ in ("InvalidURL", "UnsupportedProtocol"):
        # The Hub's own address has been looked at before.
        named = ", ".join(name for name in _PROXIES if os.environ.get(name)) or "HTTPS_PROXY"
        return ConfigInvalid(f"{named}: no address of a proxy that can be used; write it as http://host:port")
    return None


def _is_no_bundle(error: FileNotFoundError) -> bool:
    bundle = os.environ.get(_BUNDLE)
    return error.filename in (None, bundle) and bundle is not None and not os.path.exists(bundle)


def _is_of_http(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _OF_HTTP


def _way() -> str:
    return ", by way of a proxy" if any(os.environ.get(name) for name in _PROXIES) else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__
