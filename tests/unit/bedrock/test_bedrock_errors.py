"""What each error of the provider means for the call, the item and the shard."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)

from fabula_workloads.bedrock.causes import Place
from fabula_workloads.bedrock.errors import Rejected, Transient, classify
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused

PLACE = Place("extraction", "the-model", "us-west-2", "bedrock.example")
SECRET = "words of a transcript"


def answered(code: str, status: int, message: str = SECRET, retry_after: str | None = None) -> Any:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    error = ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "Converse")  # type: ignore[arg-type]
    return classify(error, PLACE)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("ThrottlingException", 429, "ProviderThrottled"),
        ("ServiceQuotaExceededException", 400, "ProviderThrottled"),
        ("ModelNotReadyException", 429, "ProviderUnavailable"),
        ("InternalServerException", 500, "ProviderUnavailable"),
        ("ServiceUnavailableException", 503, "ProviderUnavailable"),
        ("ModelTimeoutException", 408, "ProviderUnavailable"),
        ("ModelErrorException", 424, "ProviderUnavailable"),
    ],
)
def test_what_may_pass(code: str, status: int, reason: str) -> None:
    found = answered(code, status)
    assert isinstance(found, Transient) and found.reason == reason and not found.lost
    assert SECRET not in found.what


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), ("9999", 120.0), ("soon", 0.0), (None, 0.0)])
def test_retry_after(header: str | None, seconds: float) -> None:
    assert answered("ThrottlingException", 429, retry_after=header).retry_after == seconds


@pytest.mark.parametrize(
    ("code", "status", "message", "kind"),
    [
        ("AccessDeniedException", 403, "no access", CredentialsRefused),
        ("UnrecognizedClientException", 403, "bad token", CredentialsRefused),
        ("ExpiredTokenException", 403, "expired", CredentialsRefused),
        ("ResourceNotFoundException", 404, "no such model", ConfigInvalid),
        ("ValidationException", 400, "The provided model identifier is invalid.", ConfigInvalid),
        ("ValidationException", 400, SECRET, Rejected),
    ],
)
def test_what_will_not_pass(code: str, status: int, message: str, kind: type[Exception]) -> None:
    found = answered(code, status, message)
    assert type(found) is kind and SECRET not in str(found)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ConnectionClosedError(endpoint_url="http://x"), True),
        (ReadTimeoutError(endpoint_url="http://x"), True),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (HTTPClientError(error="what nobody foresaw"), True),
        (SSLError(endpoint_url="https://x", error="EOF occurred in violation of protocol"), True),
        (EndpointConnectionError(endpoint_url="http://x"), False),
        (ProxyConnectionError(proxy_url="http://p"), False),
    ],
)
def test_a_broken_connection_may_have_cost_something(error: Any, lost: bool) -> None:
    found = classify(error, PLACE)
    assert isinstance(found, Transient) and found.lost is lost


def test_without_credentials_a_person_is_told_what_to_do() -> None:
    found = classify(NoCredentialsError(), PLACE)
    assert isinstance(found, CredentialsRefused) and "AWS_BEARER_TOKEN_BEDROCK" in found.message
