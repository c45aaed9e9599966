"""Where the client finds its credentials, and what is seen of them on the wire; botocore tries nothing again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from tests.support.bedrock import TOKEN, Bedrock, run_bedrock
from tests.support.bedrock_clock import ManualClock
from tests.support.bedrock_faults import Faults

from fabula_workloads.bedrock.client import BedrockClient
from fabula_workloads.bedrock.errors import Transient
from fabula_workloads.runtime.failures import CredentialsRefused

MODEL = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLEAN = (
    "AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
    "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
ROLE = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>role-key</AccessKeyId>
<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-session</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    for name in CLEAN:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with run_bedrock(Bedrock(clock=ManualClock())) as running:
        yield running


def call(bedrock: Bedrock) -> None:
    client = BedrockClient(region="us-west-2", endpoint_url=bedrock.endpoint, concurrency=1)
    message = {"role": "user", "content": [{"text": "Speaker 1: hello"}]}
    client.converse(MODEL, {"messages": [message], "inferenceConfig": {"maxTokens": 256}}, "call")


def key_of(bedrock: Bedrock) -> str:
    """The one key that signed, with the scope of the signature."""
    (shown, _), *others = bedrock.authorizations
    assert not others and shown.startswith("AWS4-HMAC-SHA256 Credential=")
    key, _, region, service, _ = shown.partition("=")[2].split("/")
    assert (region, service) == ("us-west-2", "bedrock")
    return key


def test_keys_of_the_environment_sign(bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    call(bedrock)
    assert key_of(bedrock) == "own-key"


def test_a_shared_credentials_file_signs(bedrock: Bedrock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = file-key\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    call(bedrock)
    assert key_of(bedrock) == "file-key"


@contextmanager
def token_service() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """AWS's Security Token Service as far as a role for a ServiceAccount needs it: (endpoint, requests seen)."""
    seen: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ROLE)))
            self.end_headers()
            self.wfile.write(ROLE.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_service_accounts_role_signs(bedrock: Bedrock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IRSA: the projected token is traded for the role's keys, whose session token goes with each call."""
    (tmp_path / "token").write_text("projected-token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/builder")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    with token_service() as (endpoint, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint)
        call(bedrock)
    assert seen[0]["Action"] == ["AssumeRoleWithWebIdentity"]
    assert seen[0]["WebIdentityToken"] == ["projected-token"]
    assert key_of(bedrock) == "role-key"
    assert {session for _, session in bedrock.authorizations} == {"role-session"}


def test_a_bearer_token_goes_before_keys(tmp_path: Path, bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_bedrock(Bedrock(clock=ManualClock(), token=TOKEN), tls=tmp_path) as secure:
        for name, value in secure.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
        call(secure)
        assert secure.authorizations == {(f"Bearer {TOKEN}", "")}


def test_without_any_nothing_is_sent(bedrock: Bedrock) -> None:
    with pytest.raises(CredentialsRefused, match="no credentials for Bedrock were found"):
        call(bedrock)
    assert bedrock.bill.charges == []


@pytest.mark.parametrize("fault", ["throttle", "server_error", "unavailable", "cut"])
def test_one_call_is_one_request(bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """However botocore is told to retry by its environment: tries are ours to count and to pay for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    bedrock.faults = Faults(**{fault: 1.0, "at_most_in_a_row": 100})
    with pytest.raises(Transient) as error:
        call(bedrock)
    assert error.value.lost == (fault == "cut")
    assert len(bedrock.bill.charges) == 1
