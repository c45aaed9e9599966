"""What the answers of a server of chat completions mean: another try, this request, or nothing to be had at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from fabula_workloads.bedrock.errors import Rejected, Transient
from fabula_workloads.bedrock.openai_client import OpenAIClient
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused


@contextmanager
def answering(status: int, body: str, **headers: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if status:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body.encode())

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def client(url: str, key: str | None = "k") -> OpenAIClient:
    return OpenAIClient(url, key=key, key_variable="KEY", max_tokens=10, field="judges[a]")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (429, "slower", Transient, "turns calls away"),
        (429, '{"error": {"code": "insufficient_quota"}}', CredentialsRefused, "no credit left"),
        (401, "", CredentialsRefused, "KEY"),
        (404, "", ConfigInvalid, "judges[a]"),
        (400, "too long", Rejected, "400"),
        (500, "", Transient, "answers 500"),
        (200, "<html>login</html>", Transient, "no chat completion"),
        (200, '{"choices": []}', Transient, "no chat completion"),
        (0, "", Transient, "ended"),
    ],
)
def test_an_answer_that_is_none_is_known_for_it(status: int, body: str, kind: type[Exception], words: str) -> None:
    with answering(status, body, Retry_After="7") as url, pytest.raises(kind) as raised:
        client(url).complete({"model": "m", "messages": []})
    error = raised.value
    assert words in (error.what if isinstance(error, Transient | Rejected) else str(error))
    if isinstance(error, Transient):
        # Whoever answered nothing, or a page with status 200, may have done the work.
        assert error.lost == (status in (0, 200))
        assert error.retry_after == (7 if status in (429, 500) else 0)


def test_who_cannot_be_reached_has_done_nothing() -> None:
    with answering(200, "") as url:
        pass
    with pytest.raises(Transient) as raised:
        client(url).complete({})
    assert not raised.value.lost


@pytest.mark.parametrize(("url", "key"), [("ftp://x", "k"), ("x", "k"), ("http://x", "two\nlines")])
def test_what_no_call_could_be_made_with_is_said_at_once(url: str, key: str) -> None:
    with pytest.raises((ConfigInvalid, CredentialsRefused)):
        client(url, key)
