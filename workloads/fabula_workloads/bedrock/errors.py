"""What went wrong with a call: may another try go through, is it this request, or is nothing to be had at all?"""

from __future__ import annotations

from dataclasses import dataclass, field

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    InvalidRegionError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NotConnected

from fabula_workloads.bedrock.breaker import Reason
from fabula_workloads.bedrock.causes import Place, setup_error
from fabula_workloads.bedrock.refusals import PROVIDER_FAILED, REQUEST_REFUSED
from fabula_workloads.runtime.aws_settings import later, misconfigured, unread_file, untrusted
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, WorkerError

_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException"})
_ENDED = (ReadTimeoutError, ConnectionClosedError, ResponseStreamingError, IncompleteReadError)
_UNREACHED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, TokenRetrievalError, NoAuthTokenError)
_LONGEST_RETRY_AFTER = 120.0


@dataclass
class Transient(Exception):
    """Another try may go through."""

    reason: Reason
    what: str
    retry_after: float = 0.0
    """Seconds that the provider asks to wait."""
    lost: bool = False
    """The request may have been carried out, and paid for, although no answer came."""


@dataclass
class Rejected(Exception):
    """The provider will not take this request, however often it is sent."""

    what: str
    """Error code; never the provider's words, which may quote the request."""
    lost: int = 0
    """Tries before it that may have been carried out, and paid for, although no answer came."""
    lost_usd: float = 0.0
    """What those cost at most."""
    said: str = field(default="", repr=False)
    """The provider's words, to be compared with those to other requests; they may quote this one, so never kept."""

    @property
    def reason(self) -> str:
        """Why the request's item failed, as its outcome has it."""
        return PROVIDER_FAILED if self.what == PROVIDER_FAILED else REQUEST_REFUSED


def classify(error: Exception, place: Place) -> Transient | Rejected | WorkerError:
    """The meaning of an error of boto3, of a call that goes to `place`."""
    if isinstance(error, ClientError):
        return _answered(error, place)
    kind = type(error).__name__
    if isinstance(error, _ENDED):
        return Transient("ProviderUnavailable", f"the connection to {place} ended ({kind})", lost=True)
    if isinstance(error, SSLError):
        return _untrusted(error, place)
    if isinstance(error, ProxyConnectionError):
        return Transient(
            "ProviderUnavailable", f"the proxy of HTTPS_PROXY or HTTP_PROXY cannot be reached on the way to {place}"
        )
    if isinstance(error, _UNREACHED):
        return Transient("ProviderUnavailable", f"{place} cannot be reached ({kind})")
    if setup := _unsent(error, place):
        return setup
    # Whether the request had been sent is not known, and then it may be on the bill.
    return Transient("ProviderUnavailable", f"the call to {place} did not go through ({kind})", lost=True)


def _unsent(error: Exception, place: Place) -> Transient | WorkerError | None:
    """What is wrong with credentials and settings, by what botocore says before it sends anything."""
    kind = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        part = f" ({error})" if isinstance(error, PartialCredentialsError) else ""
        return CredentialsRefused(
            f"no credentials for Bedrock were found{part}; give the pods a ServiceAccount with a role, or a Secret "
            "with AWS_BEARER_TOKEN_BEDROCK or AWS keys as spec.secretRef"
        )
    if what := later(error):
        return Transient("ProviderUnavailable", what)
    if setup := misconfigured(error):
        return setup
    if isinstance(error, (InvalidRegionError, NoRegionError)):
        return ConfigInvalid(f"{place.field}.region: {place.region!r} is no name of a region; write it as us-west-2")
    if isinstance(error, OSError):
        return unread_file(error)
    if isinstance(error, ValueError) and "endpoint" in str(error).lower():
        return ConfigInvalid(f"{place.field}.endpointUrl: {error}; write it as https://host")
    if not isinstance(error, (HTTPClientError, NotConnected)) and isinstance(error, BotoCoreError):
        return ConfigInvalid(
            f"Bedrock cannot be called with this configuration ({place.field}): {kind}: {str(error)[:200]}"
        )
    return None


def _untrusted(error: SSLError, place: Place) -> Transient | WorkerError:
    if refusal := untrusted(error, str(place), f"{place.field}.endpointUrl"):
        return refusal
    return Transient("ProviderUnavailable", f"the connection to {place} ended (SSLError)", lost=True)


def _answered(error: ClientError, place: Place) -> Transient | Rejected | WorkerError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    headers = metadata.get("HTTPHeaders", {})
    wait = _seconds(headers.get("retry-after"))
    if code in _THROTTLED or (status == 429 and code != "ModelNotReadyException"):
        return Transient("ProviderThrottled", f"the provider turns calls away ({code or status})", wait)
    if status < 500 and (failure := setup_error(code, message, str(error.operation_name), headers, place)):
        return failure
    if status in (401, 407):
        what = "Bedrock refuses the credentials" if status == 401 else "the proxy of HTTPS_PROXY wants credentials"
        return CredentialsRefused(f"{what} ({code or status}); renew or correct them")
    if status == 403:
        return CredentialsRefused(f"the call to {place} is forbidden ({code or status})", "NoPermission")
    if status in (400, 413, 422):
        return Rejected(code or str(status), said=message)
    return Transient("ProviderUnavailable", f"{place} answers {code or status}", wait)


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds, not above two minutes; 0 without one."""
    try:
        return min(_LONGEST_RETRY_AFTER, max(0.0, float(header or 0)))
    except ValueError:
        return 0.0
