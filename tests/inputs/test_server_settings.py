"""What no call of a server in OpenAI's format gets through with is told at once, of judges and of arms, by its name."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

from fabula_api.arms import Generation
from fabula_api.shared_spec import PixelWindow
from fabula_workloads.bedrock.errors import Transient
from fabula_workloads.bedrock.openai_client import OpenAIClient
from fabula_workloads.inference.openai_engine import OpenAiEngine
from fabula_workloads.inference.request import Request
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, TryAgain
from fabula_workloads.runtime.http_settings import server_key

SURROUNDINGS = ("SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxy and no authorities but the machine's; what the code corrects is put back."""
    for name in SURROUNDINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def ask_judge(url: str, key: str | None = None) -> None:
    OpenAIClient(url, key=key, key_variable="KEY", max_tokens=10, field="judges[a]").complete({})


def ask_arm(url: str, key: str | None = None) -> None:
    engine = OpenAiEngine(url, "m", key, pixels=PixelWindow(), generation=Generation(), tries=0)
    assert not hasattr(engine.answer(Request("a", 0, (), "p")), "reason")


ASK = pytest.mark.parametrize("ask", [ask_judge, ask_arm])


@ASK
@pytest.mark.parametrize(
    "url",
    ["host/v1", "localhost:8000/v1", "http://host:x/v1", "http://host:90000/v1", "http://a b/v1", "http://host/v1\n",
     "http://[::1/v1", f"http://{'a' * 70}.example/v1", "ftp://host/v1", "https:///v1"],
)  # fmt: skip
def test_what_is_no_address_is_told_before_a_call(ask: Any, url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"endpointUrl.*is no address.*https://host/v1"):
        ask(url)


def test_a_judges_address_holds_no_password() -> None:
    with pytest.raises(ConfigInvalid, match="keyVariable") as refused:
        ask_judge("http://user:secret@host/v1")  # pragma: allowlist secret
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("blank", ["\n", " ", "\r\n", "\ufeff", "\t"])
def test_blanks_at_an_end_of_a_key_are_left_out_and_told(
    bare: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, blank: str
) -> None:
    bare.setenv("JUDGE_KEY", f"sk-mine{blank}")
    assert server_key("JUDGE_KEY") == "sk-mine"
    assert "JUDGE_KEY has white space at an end" in caplog.text and "sk-mine" not in caplog.text


@pytest.mark.parametrize("empty", ["", "\n"])
def test_an_empty_key_is_none(bare: pytest.MonkeyPatch, empty: str) -> None:
    bare.setenv("JUDGE_KEY", empty)
    assert server_key("JUDGE_KEY") is None


@pytest.mark.parametrize("key", ["sk\nmine", "sk-m\u00efne", "sk\x00mine"])
def test_a_key_that_no_header_holds_is_told(bare: pytest.MonkeyPatch, key: str) -> None:
    if "\x00" not in key:
        bare.setenv("JUDGE_KEY", key)
        with pytest.raises(CredentialsRefused, match="the key in JUDGE_KEY has a line break or blank") as refused:
            server_key("JUDGE_KEY")
        assert key not in refused.value.message
    with pytest.raises(CredentialsRefused, match="KEY"):
        ask_judge("http://host/v1", key)


@pytest.fixture(scope="module")
def behind_tls() -> Iterator[tuple[str, trustme.CA]]:
    """A server of one answer whose certificate is of an authority that nobody knows."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            found = self.path == "/v1/chat/completions"
            content = b'{"choices": [{"message": {"content": "hello"}}]}' if found else b"{}"
            self.send_response(200 if found else 404)
            for name, value in (("Content-Length", str(len(content))), ("Content-Type", "application/json")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Not on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", authority
    server.shutdown()
    server.server_close()


@ASK
def test_a_certificate_that_nobody_trusts_is_told_with_what_would_do(
    ask: Any, behind_tls: tuple[str, trustme.CA], bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, authority = behind_tls
    with pytest.raises(ConfigInvalid, match=r"SSL_CERT_FILE, or correct .*endpointUrl") as refused:
        ask(f"{url}/v1")
    assert refused.value.reason == "CertificateRefused"
    bare.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(ConfigInvalid, match=r"SSL_CERT_FILE names .*absent\.pem, which is not there"):
        ask(f"{url}/v1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    bare.setenv("SSL_CERT_FILE", f"{tmp_path / 'ca.pem'}\n")
    for right in ("/v1", "/v1/"):
        ask(url + right)
    for wrong in ("", "/v1/chat/completions"):
        with pytest.raises(ConfigInvalid, match="endpointUrl is what comes before /chat/completions"):
            ask(url + wrong)


@pytest.mark.parametrize("proxy", ["foo://x", "http://proxy:x"])
def test_a_proxy_that_is_none_is_told_by_its_variable(proxy: str, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("HTTP_PROXY", proxy)
    with pytest.raises(ConfigInvalid, match="HTTP_PROXY: no address of a proxy"):
        ask_arm("http://host.example/v1")


def test_an_outage_is_none_of_the_settings() -> None:
    with pytest.raises(Transient):
        ask_judge("http://127.0.0.1:9/v1")
    with pytest.raises(TryAgain):
        ask_arm("http://127.0.0.1:9/v1")
