"""A setting or token that no model comes with ends the stage at once, in words that name it; an outage does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import close_session

from fabula_api.externals import COMMIT
from fabula_api.shared_spec import ModelSource
from fabula_workloads.models.hub import from_hub, hub_commit
from fabula_workloads.probe.surroundings import hub
from fabula_workloads.runtime.failures import ConfigInvalid, CredentialsRefused, InputInvalid, TryAgain, WorkerError
from tests.support.hub import SHA, running_hub

NOBODY = "http://127.0.0.1:9"
MODEL = ModelSource(name="some/model")
VARIABLES = (
    "HF_TOKEN", "HF_ENDPOINT", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy",
    "http_proxy", "all_proxy", "no_proxy",
)  # fmt: skip


@dataclass(frozen=True)
class Wrong:
    """Variables beside those of a Hub that nobody serves, and how the first request ends."""

    kind: str
    variables: dict[str, str] = field(default_factory=dict)
    error: type[WorkerError] = ConfigInvalid
    words: str = ""


WRONG = [
    Wrong("a token with a foreign letter", {"HF_TOKEN": "hf_é"}, CredentialsRefused, "HF_TOKEN .*correct the Secret"),
    Wrong("an address without a scheme", {"HF_ENDPOINT": "hub:80"}, words="HF_ENDPOINT: 'hub:80' is no address"),
    Wrong("a host alone", {"HF_ENDPOINT": "hub.example"}, words="HF_ENDPOINT.*write it as https://"),
    Wrong("another protocol", {"HF_ENDPOINT": "ftp://hub"}, words="HF_ENDPOINT"),
    Wrong("a port that is none", {"HF_ENDPOINT": "http://hub:90000"}, words="HF_ENDPOINT"),
    Wrong("no file of authorities", {"SSL_CERT_FILE": "/none.pem"}, words="SSL_CERT_FILE names /none.pem"),
    Wrong("a file without authorities", {"SSL_CERT_FILE": __file__}, words="SSL_CERT_FILE names .*no certificate"),
    Wrong("a proxy of another kind", {"HTTP_PROXY": "foo://x"}, words="HTTP_PROXY: no address of a proxy"),
    Wrong("a proxy's port", {"HTTP_PROXY": "http://proxy:x"}, words="HTTP_PROXY: no address of a proxy"),
    Wrong("nobody there", error=TryAgain, words=r"could not be downloaded from the Hub \(ConnectError\)"),
    Wrong("no proxy there", {"HTTP_PROXY": NOBODY}, TryAgain, r"ConnectError, by way of a proxy"),
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No variable of the Hub's; its client reads those of proxies and certificates once."""
    for name in VARIABLES:
        # Set first, so that what the code takes away or corrects is put back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    close_session()
    yield monkeypatch
    close_session()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.kind)
def test_a_wrong_setting_is_told_by_its_name(wrong: Wrong, bare: pytest.MonkeyPatch) -> None:
    for name, value in wrong.variables.items():
        bare.setenv(name, value)
    with pytest.raises(WorkerError, match=wrong.words) as refused:
        hub_commit(MODEL, "model")
    assert type(refused.value) is wrong.error
    assert wrong.variables.get("HF_TOKEN", "none of it") not in refused.value.message


@pytest.mark.parametrize("blank", ["\n", " ", "\ufeff"])
def test_blanks_at_an_end_are_left_out_and_told(
    bare: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, blank: str
) -> None:
    with running_hub() as (_, variables):
        for name, value in {**variables, "HF_TOKEN": "hf_secret", "HTTP_PROXY": ""}.items():
            bare.setenv(name, value + blank)
        assert hub_commit(MODEL, "model") == COMMIT + SHA
        assert from_hub(MODEL, "model", tmp_path, COMMIT + SHA, "config.json")
    assert "HF_TOKEN has white space at an end" in caplog.text and "hf_secret" not in caplog.text
    assert "HF_ENDPOINT has white space at an end" in caplog.text


@dataclass(frozen=True)
class Said:
    """An answer of the Hub's, or of what stands in its place."""

    kind: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    error: type[WorkerError] = TryAgain
    words: str = ""


SAID = [
    Said("a token that was revoked", 401, {"X-Error-Message": "Invalid credentials in Authorization header"},
         CredentialsRefused, r"does not take HF_TOKEN \(401\)"),
    Said("a token without the right", 403, error=CredentialsRefused, words=r"HF_TOKEN has no permission.*\(403\)"),
    Said("a gated model", 403, {"X-Error-Code": "GatedRepo"}, CredentialsRefused, "is gated: accept its terms"),
    Said("a gated model, without a token", 401, {"X-Error-Code": "GatedRepo"}, CredentialsRefused, "is gated"),
    Said("no such model", 404, {"X-Error-Code": "RepoNotFound"}, InputInvalid, "is not on the Hub"),
    Said("no such file", 404, {"X-Error-Code": "EntryNotFound"}, InputInvalid, "no such file on the Hub"),
    Said("a login page", 200, words="is no Hub: does HF_ENDPOINT name one"),
    Said("too many", 429, words="429"),
    Said("an outage", 503, words="503"),
]  # fmt: skip


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.kind)
def test_an_answer_is_told_as_what_it_means(said: Said, bare: pytest.MonkeyPatch) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(said.status)
            for name, value in {**said.headers, "Content-Length": "6"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: object) -> None:
            """Not on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        bare.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        bare.setenv("HF_TOKEN", "hf_secret")
        with pytest.raises(WorkerError, match=said.words) as refused:
            hub_commit(MODEL, "model")
        server.shutdown()
    assert type(refused.value) is said.error
    assert "hf_secret" not in refused.value.message


def test_a_cache_that_is_a_file_is_told(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_hub() as (_, variables):
        bare.setenv("HF_ENDPOINT", variables["HF_ENDPOINT"])
        (tmp_path / "cache").touch()
        with pytest.raises(WorkerError, match="cache") as refused:
            from_hub(MODEL, "model", tmp_path / "cache" / "models", None)
    assert not isinstance(refused.value, TryAgain)


def test_a_probe_says_that_the_hubs_address_is_none(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("HF_ENDPOINT", "hub.example")
    assert (found := hub()).state == "MISSING" and "HF_ENDPOINT: 'hub.example' is no address" in found.said
