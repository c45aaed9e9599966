"""Settings of any client of HTTP: addresses, keys, proxies and authorities, and which of them an error tells of."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused
from fabula_workloads.runtime.trimmed_setting import trimmed_setting

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
_BUNDLE = "SSL_CERT_FILE"
_NO_TRUST = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
_NO_BUNDLE = ("NO_CERTIFICATE_OR_CRL_FOUND", "PEM lib")
_NO_PROXY_URL = ("for proxy URL", "SOCKS proxy", "Proxy URL had", "Failed to parse")
_OF_HTTP = ("httpx", "httpx2")
"""Libraries whose errors clients pass on as they are."""


def trim_surroundings() -> None:
    """Take blanks off both ends of the variables of proxies and authorities, saying which had some."""
    for name in (*_PROXIES, "NO_PROXY", "no_proxy", _BUNDLE):
        trimmed_setting(name)


def server_key(variable: str) -> str | None:
    """The key in a variable, without blanks at its ends; None where it is empty. Raises CredentialsRefused for one that
    no header can hold."""
    key = trimmed_setting(variable)
    if key is not None and not (key.isascii() and key.isprintable()):
        raise CredentialsRefused(f"the key in {variable} has a line break or blank within; correct the Secret")
    return key


def is_address(text: str) -> bool:
    """Whether it is an http or https URL with a host, a port where it names one."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return False
    plain = all(letter.isprintable() and not letter.isspace() for letter in text)
    return plain and parts.scheme in ("http", "https") and bool(host) and port != 0


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def is_of_http(error: BaseException) -> bool:
    """Whether a library of HTTP raised it."""
    return type(error).__module__.partition(".")[0] in _OF_HTTP


def way() -> str:
    """Words for a message where requests go through a proxy."""
    return ", by way of a proxy" if any(os.environ.get(name) for name in _PROXIES) else ""


def wrong_setting(error: BaseException, server: str, field: str) -> ConfigInvalid | None:
    """What no wait mends of a request to `server`, whose address is `field`'s and has been looked at before."""
    return next(filter(None, (_wrong(cause, server, field) for cause in causes(error))), None)


def _wrong(error: BaseException, server: str, field: str) -> ConfigInvalid | None:
    text = str(error)
    no_file = (
        isinstance(error, FileNotFoundError) and error.filename in (None, os.environ.get(_BUNDLE)) and _no_bundle()
    )
    untrusted = (isinstance(error, ssl.SSLError) or is_of_http(error)) and any(words in text for words in _NO_TRUST)
    if no_file or any(words in text for words in _NO_BUNDLE) or (untrusted and _no_bundle()):
        return ConfigInvalid(
            f"{_BUNDLE} names {os.environ.get(_BUNDLE, 'a file')}, which is not there or holds no certificate in PEM",
            "CertificateRefused",
        )
    if untrusted and "not yet valid" in text:
        return ConfigInvalid(f"the certificate of {server} is not valid yet: is the node's clock right?", "ClockSkew")
    if untrusted:
        return ConfigInvalid(
            f"the certificate of {server}, or of a proxy before it, is not trusted, or it speaks no TLS: give its "
            f"authority's file as {_BUNDLE}, or correct {field}",
            "CertificateRefused",
        )
    if any(words in text for words in _NO_PROXY_URL) or type(error).__name__ in ("InvalidURL", "UnsupportedProtocol"):
        named = ", ".join(name for name in _PROXIES if os.environ.get(name)) or "HTTPS_PROXY"
        return ConfigInvalid(f"{named}: no address of a proxy that can be used; write it as http://host:port")
    return None


def _no_bundle() -> bool:
    bundle = os.environ.get(_BUNDLE)
    return bundle is not None and not os.path.isfile(bundle)
