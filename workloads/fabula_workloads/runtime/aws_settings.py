"""Settings of AWS as they come out of Secrets and files: with a line break at their end more often than not."""

from __future__ import annotations

import os

from botocore.exceptions import (
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    InvalidConfigError,
    LoginError,
    MetadataRetrievalError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSLError,
    SSOError,
    UnknownCredentialError,
)

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, WorkerError
from fabula_workloads.runtime.http_settings import trim_surroundings
from fabula_workloads.runtime.trimmed_setting import trimmed_setting

_NAMES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
)  # fmt: skip
_FILES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_NO_LOGIN = (SSOError, LoginError, RefreshWithMFAUnsupportedError, UnknownCredentialError, InvalidConfigError)
_FROM_THE_NODE = ("container-role", "iam-role")
"""Providers of credentials that ask an agent beside the pod, which may not be up yet."""
_NO_TRUST = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL")
_NO_BUNDLE = ("[Errno 2]", "NO_CERTIFICATE_OR_CRL_FOUND", "PEM lib")


def strip_settings() -> None:
    """Take blanks off both ends of AWS's variables and those of proxies, and those that are empty away."""
    trim_surroundings()
    for name in _NAMES:
        trimmed_setting(name)


def later(error: Exception) -> str | None:
    """What the node has not given yet: its agent may come up after the pod. None for all else."""
    kind = type(error).__name__
    if isinstance(error, CredentialRetrievalError) and any(provider in str(error) for provider in _FROM_THE_NODE):
        return f"the node's agent gives the pod no credentials yet ({kind})"
    if isinstance(error, MetadataRetrievalError):
        return f"the node's metadata service gives no credentials ({kind})"
    return None


def misconfigured(error: Exception) -> WorkerError | None:
    """What is wrong with AWS's settings, by what botocore says before it sends anything; None for all else."""
    kind = type(error).__name__
    if isinstance(error, ProfileNotFound):
        return ConfigInvalid(
            f"AWS_PROFILE names a profile that is in no file of AWS's settings: {error}; correct or unset it"
        )
    if isinstance(error, (ConfigParseError, ConfigNotFound)):
        return ConfigInvalid(f"AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE cannot be used: {error}")
    if isinstance(error, CredentialRetrievalError) and later(error) is None:
        return CredentialsRefused(f"the credential_process of AWS's settings failed ({kind}); run it by hand")
    if isinstance(error, _NO_LOGIN):
        return CredentialsRefused(
            f"the login of AWS's settings cannot be used by a pod ({kind}); sign in anew, or use keys"
        )
    if "Invalid header value" in str(error) or "leading whitespace" in str(error):
        # Its text holds the value.
        return CredentialsRefused("a key or token of AWS has a line break or blank within; correct the Secret")
    return None


def unread_file(error: OSError) -> ConfigInvalid:
    """That a file which AWS's settings name cannot be read."""
    return ConfigInvalid(
        f"a file that AWS's settings name cannot be read: {error.filename or error}: "
        f"{error.strerror or type(error).__name__}; look at AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CA_BUNDLE and "
        "AWS_CONFIG_FILE"
    )


def is_of_settings(error: OSError) -> bool:
    """Whether the file of an error is one that AWS's settings name."""
    return error.filename is not None and error.filename in {os.environ.get(name) for name in _FILES}


def untrusted(error: SSLError, place: str, endpoint: str) -> ConfigInvalid | None:
    """Why TLS with `place` will not do, where `endpoint` names it; None where it may be the connection's trouble."""
    text = str(error)
    if any(words in text for words in _NO_BUNDLE):
        return ConfigInvalid(
            f"AWS_CA_BUNDLE names {os.environ.get('AWS_CA_BUNDLE', 'a file')}, which is not there or holds no "
            "certificate in PEM",
            "CertificateRefused",
        )
    if "not yet valid" in text:
        return ConfigInvalid(f"the certificate of {place} is not valid yet: is the node's clock right?", "ClockSkew")
    if any(words in text for words in _NO_TRUST):
        return ConfigInvalid(
            f"the certificate of {place} is not trusted, or it speaks no TLS: give its authority's file as "
            f"AWS_CA_BUNDLE, or correct {endpoint}",
            "CertificateRefused",
        )
    return None
