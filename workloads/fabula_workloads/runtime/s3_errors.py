"""What an error of S3 means: which failure a stage ends with, and what a person can do about it."""

from __future__ import annotations

from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    EndpointResolutionError,
    IncompleteReadError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSLError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from fabula_workloads.runtime.aws_settings import later, misconfigured, untrusted
from fabula_workloads.runtime.failures import (
    ConfigInvalid,
    CredentialsRefused,
    InputInvalid,
    NotFound,
    TryAgain,
    WorkerError,
)

_NOT_THERE = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NotFound"})
_NO_PERMISSION = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
REFUSED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "401"}
)
"""Codes of credentials that are none."""
_NO_SPACE = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})


def code_of(error: ClientError) -> str:
    """The code of an answer; empty where it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def no_endpoint(error: ValueError | BotoCoreError) -> ConfigInvalid:
    """That the store's address is none."""
    return ConfigInvalid(f"AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3: {error}; write it as https://host")


def from_s3_error(error: BotoCoreError | ClientError, uri: str, bucket: str) -> WorkerError:
    """The named failure behind an S3 error on `uri`. Messages carry the error's code and no request detail."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, TokenRetrievalError)):
        return CredentialsRefused(
            f"{uri}: no credentials for S3 were found; give the pods a ServiceAccount with a role, or spec.secretRef"
        )
    if isinstance(error, NoRegionError):
        return ConfigInvalid(f"{uri}: no AWS region is set; set AWS_REGION on the workers")
    if isinstance(error, InvalidRegionError):
        return ConfigInvalid(f"{uri}: AWS_REGION is no name of a region; write it as us-west-2")
    if isinstance(error, EndpointResolutionError):
        return no_endpoint(error)
    if what := later(error):
        return TryAgain(f"{uri} cannot be reached: {what}", "StoreUnavailable")
    if setup := misconfigured(error):
        return setup
    if isinstance(error, SSLError) and (setup := untrusted(error, f"the store of {uri}", "AWS_ENDPOINT_URL")):
        return setup
    if isinstance(error, EndpointConnectionError):
        host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).netloc
        if " " in host:
            return ConfigInvalid(f"{uri}: AWS_REGION is no name of a region; write it as us-west-2")
        return TryAgain(f"{uri} cannot be reached: no answer from {host}", "StoreUnavailable")
    if isinstance(error, (BotoConnectionError, IncompleteReadError)):
        return TryAgain(f"{uri} cannot be reached: {type(error).__name__}", "StoreUnavailable")
    if not isinstance(error, ClientError):
        kind = type(error).__name__
        if kind in ("ParamValidationError", "InvalidS3AddressingStyleError", "UnsupportedS3ConfigurationError"):
            return ConfigInvalid(f"{uri} is no valid S3 location: {kind}")
        return TryAgain(f"{uri} cannot be reached: {kind}", "StoreUnavailable")
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "NoSuchBucket":
        return NotFound(uri, f"there is no bucket {bucket}")
    if code in _NOT_THERE:
        return NotFound(uri)
    if code in REFUSED:
        return CredentialsRefused(
            f"{uri}: the store refuses the credentials ({code}); correct them in the Secret that secretRef or the "
            "installation names, or the identity of the ServiceAccount"
        )
    if code in _NO_PERMISSION or status == 403:
        return CredentialsRefused(
            f"{uri}: the credentials have no permission for this ({code}); allow reading, writing and listing",
            "NoPermission",
        )
    if code in _NO_SPACE or status == 507:
        return TryAgain(f"{uri} cannot be written: {code}. Free space or raise the quota.", "NoSpace")
    if code in ("InvalidBucketName", "InvalidURI", "KeyTooLongError"):
        return ConfigInvalid(f"{uri} is no valid S3 location: {code}")
    if status is not None and 400 <= status < 500 and code not in ("SlowDown", "RequestTimeout", "TooManyRequests"):
        return InputInvalid(f"{uri}: the store refuses the request ({code or status})")
    return TryAgain(f"{uri}: the store answers {code or status}", "StoreUnavailable")
