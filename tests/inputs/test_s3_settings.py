"""A setting of AWS that no request to a store gets through with ends the stage at once, in words that name it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, NotFound, TryAgain, WorkerError
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.s3_store import _client
from tests.inputs.aws_settings import NO_KEYS
from tests.support.s3 import S3Server

NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Wrong:
    """Variables beside those of a store that nobody serves, and how the first read ends."""

    kind: str
    variables: dict[str, str | None] = field(default_factory=dict)
    settings: str | None = None
    """Content of AWS_CONFIG_FILE."""
    error: type[WorkerError] = ConfigInvalid
    words: str = ""


WRONG = [
    Wrong("a key with a line break within", {"AWS_ACCESS_KEY_ID": "AKIA\nX"}, error=CredentialsRefused,
          words="a line break or blank within; correct the Secret"),
    Wrong("a session token of two lines", {"AWS_SESSION_TOKEN": "abc\ndef"}, error=CredentialsRefused,
          words="a line break or blank within"),
    Wrong("an unknown profile", {"AWS_PROFILE": "nobody"}, words=r"AWS_PROFILE.*\(nobody\)"),
    Wrong("settings that are no INI", settings="[default\n", words="AWS_CONFIG_FILE"),
    Wrong("half of a key", {"AWS_SECRET_ACCESS_KEY": None}, error=CredentialsRefused, words="no credentials for S3"),
    Wrong("a token file that is not mounted", NO_KEYS | {"AWS_WEB_IDENTITY_TOKEN_FILE": "/none/token",
          "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, words="/none/token.*AWS_WEB_IDENTITY_TOKEN_FILE"),
    Wrong("a process that fails", NO_KEYS, "[default]\ncredential_process = false\n", CredentialsRefused,
          "credential_process"),
    Wrong("a region of two words", {"AWS_REGION": "us west 2", "AWS_ENDPOINT_URL": None}, words="AWS_REGION"),
    Wrong("an endpoint without a scheme", {"AWS_ENDPOINT_URL": "minio:9000"}, words="AWS_ENDPOINT_URL.*https://host"),
    Wrong("an endpoint of S3 alone", {"AWS_ENDPOINT_URL_S3": "minio"}, words="AWS_ENDPOINT_URL_S3.*https://host"),
    Wrong("a port that is none", {"AWS_ENDPOINT_URL": "http://minio:90000"}, words="AWS_ENDPOINT_URL"),
    Wrong("another protocol", {"AWS_ENDPOINT_URL": "ftp://minio"}, words="AWS_ENDPOINT_URL"),
    Wrong("nobody there", error=TryAgain, words="cannot be reached"),
    Wrong("an endpoint that is set to nothing", {"AWS_ENDPOINT_URL_S3": ""}, error=TryAgain, words="cannot be reached"),
]  # fmt: skip


@pytest.fixture
def clients() -> Iterator[None]:
    """Clients made in this test's environment: they are kept for the whole process otherwise."""
    _client.cache_clear()
    yield
    _client.cache_clear()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.kind)
@pytest.mark.usefixtures("clients")
def test_a_wrong_setting_is_told_by_its_name(wrong: Wrong, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (S3Server(NOBODY).environment() | wrong.variables).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    if wrong.settings is not None:
        (tmp_path / "config").write_text(wrong.settings)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(WorkerError, match=wrong.words) as refused:
        open_store("s3://bucket/x").read("y")
    assert type(refused.value) is wrong.error
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert (wrong.variables.get(name) or "none of it") not in refused.value.message


@pytest.fixture
def behind_tls() -> Iterator[tuple[str, trustme.CA]]:
    """A store without objects, whose certificate is of an authority that nobody knows: (its URL, the authority)."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Not on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", authority
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("clients")
def test_a_certificate_that_nobody_trusts_is_told_with_what_would_do(
    behind_tls: tuple[str, trustme.CA], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, authority = behind_tls
    for name, value in S3Server(url).environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigInvalid, match="AWS_CA_BUNDLE, or correct AWS_ENDPOINT_URL") as refused:
        open_store("s3://bucket/x").read("y")
    assert refused.value.reason == "CertificateRefused"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    _client.cache_clear()
    with pytest.raises(NotFound):
        open_store("s3://bucket/x").read("y")
    (tmp_path / "none.pem").write_text("no certificate\n")
    for bundle in (tmp_path / "absent.pem", tmp_path / "none.pem"):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        _client.cache_clear()
        with pytest.raises(ConfigInvalid, match=f"AWS_CA_BUNDLE names {bundle}"):
            open_store("s3://bucket/x").read("y")


@dataclass(frozen=True)
class Answer:
    """What something that is no store for this bucket answers to any request."""

    kind: str
    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    error: type[WorkerError] = ConfigInvalid
    words: str = "AWS_ENDPOINT_URL must name the store's API"


def of_s3(code: str, more: str = "") -> str:
    return f"<Error><Code>{code}</Code><Message>m</Message>{more}</Error>"


PAGE = {"Content-Type": "text/html"}
ANSWERS = [
    Answer("a bucket that has moved", 301, of_s3("PermanentRedirect"), {"x-amz-bucket-region": "eu-west-1"},
           words="in region eu-west-1 .*set AWS_REGION"),
    Answer("another region's signature", 400, of_s3("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
           words="in region eu-west-1 .*set AWS_REGION"),
    Answer("another region", 400, of_s3("IllegalLocationConstraintException"), words="another region.*AWS_REGION"),
    Answer("a page in its place", 200, "<html><body>console</body></html>", PAGE),
    Answer("a move without a region", 301, "<html>", PAGE | {"Location": "/login"}),
    Answer("a login page", 302, "<html>", PAGE | {"Location": "/login"}),
    Answer("a move to TLS", 308, "<html>", PAGE | {"Location": "https://127.0.0.1/"}),
    Answer("TLS is spoken there", 400, "Client sent an HTTP request to an HTTPS server."),
    Answer("a web server", 405, "<!doctype html><meta>", PAGE),
    Answer("a clock that is off", 403, of_s3("RequestTimeTooSkewed"), words="set the node's clock"),
    Answer("a gateway without a store", 501, "<!doctype html><meta>", PAGE, TryAgain, "with a web page"),
]  # fmt: skip


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_an_answer_that_no_wait_mends_is_told(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body.encode())

        def do_PUT(self) -> None:
            self.close_connection = True  # what is sent is not read
            self.do_GET()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Not on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name, value in S3Server(f"http://127.0.0.1:{server.server_port}").environment().items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://bucket/x")
        asked: list[Callable[[], object]] = [lambda: store.read("y"), lambda: list(store.list())]
        if "Error" in answer.body or answer.status == 200:
            asked.append(lambda: store.exists("y"))
        if answer.status == 200:  # else botocore waits a second for leave to send
            asked.append(lambda: store.write_if_absent("y", b""))
        for ask in asked:
            with pytest.raises(WorkerError, match=answer.words) as refused:
                ask()
            assert type(refused.value) is answer.error
        server.shutdown()


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize(
    ("proxy", "error", "words"),
    [
        ("http://proxy:x", ConfigInvalid, "HTTP_PROXY.*no address of a proxy"),
        (f"{NOBODY}\n", TryAgain, "cannot be reached: ProxyConnectionError, by way of a proxy"),
    ],
)
def test_a_proxy_that_is_none_is_told_by_its_variable(
    proxy: str, error: type[WorkerError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in {**S3Server("http://s3.example").environment(), "HTTP_PROXY": proxy}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(error, match=words):
        open_store("s3://bucket/x").read("y")
