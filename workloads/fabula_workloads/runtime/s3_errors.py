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
from fabula_workloads.runtime.http_settings import way, wrong_setting

_NOT_THERE = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NotFound"})
_NO_PERMISSION = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
REFUSED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "401"}
)
"""Codes of credentials that are none."""
CLOCK = "RequestTimeTooSkewed"
_NO_SPACE = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})

_OTHER_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
_NOT_OF_S3 = frozenset({"302", "303", "307", "308", "400", "405"})
"""S3 gives a word for these in its answer's body, so something else answered."""


def code_of(error: ClientError) -> str:
    """The code of an answer; empty where it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def no_endpoint(error: ValueError | BotoCoreError) -> ConfigInvalid:
    """That the store's address is none."""
    return ConfigInvalid(f"AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3: {error}; write it as https://host")


def no_store(uri: str, what: str) -> ConfigInvalid:
    """That something else than a store answers at its address."""
    return ConfigInvalid(
        f"{uri}: what answers there is no S3 store, since it {what}: AWS_ENDPOINT_URL must name the store's API, not "
        "its console, with https where it speaks TLS"
    )


def _elsewhere(error: ClientError, code: str, uri: str, bucket: str) -> ConfigInvalid | None:
    """That the bucket is of another region than requests are sent to and signed for; None for all else."""
    if code not in _OTHER_REGION:
        return None
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    if code == "301" and not region:
        return no_store(uri, "answers 301")
    return ConfigInvalid(
        f"{uri}: bucket {bucket} is in {f'region {region}' if region else 'another region'} ({code}): set AWS_REGION "
        "on the workers to it"
    )


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
    if setting := wrong_setting(error, f"the store of {uri}", "AWS_ENDPOINT_URL"):
        return setting
    if isinstance(error, (BotoConnectionError, IncompleteReadError)):
        return TryAgain(f"{uri} cannot be reached: {type(error).__name__}{way()}", "StoreUnavailable")
    if not isinstance(error, ClientError):
        kind = type(error).__name__
        if kind in ("ParamValidationError", "InvalidS3AddressingStyleError", "UnsupportedS3ConfigurationError"):
            return ConfigInvalid(f"{uri} is no valid S3 location: {kind}")
        return TryAgain(f"{uri} cannot be reached: {kind}", "StoreUnavailable")
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if setting := _elsewhere(error, code, uri, bucket):
        return setting
    if code == "NoSuchBucket":
        return NotFound(uri, f"there is no bucket {bucket}")
    if code in _NOT_THERE:
        return NotFound(uri)
    if code in REFUSED:
        return CredentialsRefused(
            f"{uri}: the store refuses the credentials ({code}); correct them in the Secret that secretRef or the "
            "installation names, or the identity of the ServiceAccount"
        )
    if code == CLOCK:
        return ConfigInvalid(f"{uri}: the store says that the clock is off ({code}): set the node's clock", "ClockSkew")
    if code in _NO_PERMISSION or status == 403:
        return CredentialsRefused(
            f"{uri}: the credentials have no permission for this ({code}); allow reading, writing and listing",
            "NoPermission",
        )
    if code in _NO_SPACE or status == 507:
        return TryAgain(f"{uri} cannot be written: {code}. Free space or raise the quota.", "NoSpace")
    if code in ("InvalidBucketName", "InvalidURI", "KeyTooLongError"):
        return ConfigInvalid(f"{uri} is no valid S3 location: {code}")
    if code in _NOT_OF_S3:
        return no_store(uri, f"answers {code}")
    if status is not None and 400 <= status < 500 and code not in ("SlowDown", "RequestTimeout", "TooManyRequests"):
        return InputInvalid(f"{uri}: the store refuses the request ({code or status})")
    kind = str(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", ""))
    page = " with a web page; is AWS_ENDPOINT_URL the store's API, not its console?" if "html" in kind else ""
    return TryAgain(f"{uri}: the store answers {code or status}{page}", "StoreUnavailable")
