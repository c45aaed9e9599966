"""What went wrong with a call: may another try go through, is it this request, or is nothing to be had at all?"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    InvalidEndpointConfigurationError,
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

from fabula_workloads.bedrock.breaker import Reason
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, WorkerError

_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException"})
_REFUSED = frozenset(
    {
        "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "ExpiredToken",
        "InvalidClientTokenId", "MissingAuthenticationTokenException", "IncompleteSignature",
    }
)  # fmt: skip
_ENDED = (ReadTimeoutError, ConnectionClosedError, ResponseStreamingError, IncompleteReadError)
_UNREACHED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NO_TRUST = "CERTIFICATE_VERIFY_FAILED"
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


def classify(error: BotoCoreError | ClientError, model: str) -> Transient | Rejected | WorkerError:
    """The meaning of an error of boto3."""
    if isinstance(error, ClientError):
        return _answered(error, model)
    kind = type(error).__name__
    if isinstance(error, _ENDED):
        return Transient("ProviderUnavailable", f"the connection to the provider ended ({kind})", lost=True)
    if isinstance(error, _UNREACHED) or (isinstance(error, SSLError) and _NO_TRUST in str(error)):
        return Transient("ProviderUnavailable", f"the provider cannot be reached ({kind})")
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, TokenRetrievalError, NoAuthTokenError)):
        return CredentialsRefused(
            "no credentials for Bedrock were found; give the pods a ServiceAccount with a role, or a Secret with "
            "AWS_BEARER_TOKEN_BEDROCK or AWS keys as spec.secretRef"
        )
    if isinstance(error, (NoRegionError, InvalidEndpointConfigurationError)) or kind.startswith("Param"):
        return ConfigInvalid(f"Bedrock cannot be called with this configuration: {error}")
    # Whether the request had been sent is not known, and then it may be on the bill.
    return Transient("ProviderUnavailable", f"the call did not go through ({kind})", lost=True)


def _answered(error: ClientError, model: str) -> Transient | Rejected | WorkerError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    wait = _seconds(metadata.get("HTTPHeaders", {}).get("retry-after"))
    if code in _THROTTLED or (status == 429 and code != "ModelNotReadyException"):
        return Transient("ProviderThrottled", f"the provider turns calls away ({code or status})", wait)
    if code in _REFUSED or status == 401:
        return CredentialsRefused(f"Bedrock refuses the credentials ({code or status}); renew or correct them")
    if code == "AccessDeniedException" or status == 403:
        return CredentialsRefused(
            f"the credentials may not use {model} on Bedrock ({code or status}): allow bedrock:InvokeModel for it, and "
            "ask for access to the model in the account",
            "NoPermission",
        )
    if code == "ResourceNotFoundException" or "model identifier" in message or "on-demand throughput" in message:
        return ConfigInvalid(f"Bedrock knows no model {model} here ({code}); check the model's id and the region")
    if status in (400, 413, 422):
        return Rejected(code or str(status))
    return Transient("ProviderUnavailable", f"the provider answers {code or status}", wait)


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds, not above two minutes; 0 without one."""
    try:
        return min(_LONGEST_RETRY_AFTER, max(0.0, float(header or 0)))
    except ValueError:
        return 0.0
