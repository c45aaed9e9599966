"""Progress: what is posted, how it is throttled, what a reply may ask, and that no failure of it reaches the work."""

from __future__ import annotations

import errno
import itertools
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.patience import SECONDS
from tests.support.stage_context import KEY

from fabula_api.worker import (
    SERVER_CA_VARIABLE,
    SERVER_TOKEN_VARIABLE,
    SERVER_URL_VARIABLE,
    Allowance,
    ProgressBody,
    QuotaLease,
    QuotaPart,
    WorkerConfig,
)
from fabula_workloads.runtime.progress import Rate, Reporter

CONFIG = WorkerConfig.model_validate(
    {
        "run": {"kind": "DatasetBuild", "namespace": "default", "name": "x", "uid": "1"},
        "stage": "extract", "shards": 3, "attempt": 2, "root": "file:///r", "output": "o", "key": KEY,
        "spec": {"podcast": {"source": {"uri": "x"}}},
    }
)  # fmt: skip


class Posts:
    """Takes posts as a function would, and lets a test wait for them."""

    def __init__(self, reply: Allowance | None = None) -> None:
        self.bodies: list[ProgressBody] = []
        self.reply = reply or Allowance()
        self.arrived = threading.Condition()

    def __call__(self, body: bytes) -> Allowance:
        with self.arrived:
            self.bodies.append(ProgressBody.model_validate_json(body))
            self.arrived.notify_all()
        return self.reply

    def wait_for(self, condition: Callable[[list[ProgressBody]], bool]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: condition(self.bodies), SECONDS)


@pytest.mark.parametrize(
    ("situation", "told", "left"),
    [
        ("one that is told nothing", [(0, 0, 24)], None),
        ("what earlier runs made is no pace", [(0, 900, 1000)], None),
        ("nor does it count for one", [(0, 900, 1000), (10, 910, 1000)], 90),
        ("nobody knows how many there are", [(0, 0, None), (10, 10, None)], None),
        ("it is through", [(0, 900, 1000), (40, 1000, 1000)], 0),
        ("a model is loaded", [(0, 0, 24), (14, 0, 24)], None),
        ("loading is no pace", [(0, 0, 24), (14, 0, 24), (15, 1, 24)], 23),
        ("nor after a resume", [(0, 900, 1000), (60, 900, 1000), (70, 910, 1000)], 90),
        ("a slow item is", [(0, 0, 24), (14, 0, 24), (15, 1, 24), (29, 1, 24), (30, 2, 24)], 176),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_the_time_left_is_from_this_runs_own_work_alone(
    situation: str, told: list[tuple[float, int, int | None]], left: int | None
) -> None:
    moments = iter(at for at, _, _ in told)
    rate = Rate(lambda: next(moments))
    assert [rate.seconds_left(done, total) for _, done, total in told][-1] == left


def test_a_finished_shard_has_nothing_left() -> None:
    assert Rate().seconds_left(5, 5) == 0


def test_body_is_the_trainer_protocol_with_our_fields_beside_it() -> None:
    posts = Posts()
    reporter = Reporter(CONFIG, 1, post=posts, interval_seconds=0.01)
    reporter.update(done=10, total=40, failed=1, counts={"excerpt/ok": 3}, metrics={"loss": 2.5})
    reporter.close()
    body = posts.bodies[-1].model_dump(mode="json", by_alias=True)
    assert body["trainerStatus"]["progressPercentage"] == 25
    assert body["trainerStatus"]["metrics"] == [{"name": "loss", "value": "2.5"}]
    assert body["trainerStatus"]["lastUpdatedTime"].endswith("Z")
    ours = body["fabula"]
    assert (ours["stage"], ours["shard"], ours["attempt"], ours["done"], ours["failed"]) == ("extract", 1, 2, 10, 1)
    assert ours["counts"] == {"excerpt/ok": 3}


def test_posts_are_few_and_the_last_figures_always_arrive() -> None:
    posts = Posts()
    reporter = Reporter(CONFIG, post=posts, interval_seconds=30)
    reporter.update(done=0, total=500)
    posts.wait_for(lambda bodies: len(bodies) == 1)
    for done in range(1, 501):
        reporter.update(done=done)
    reporter.close()
    assert len(posts.bodies) == 2
    assert posts.bodies[-1].fabula is not None
    assert posts.bodies[-1].fabula.done == 500


def test_a_reply_brings_allowance_and_stop() -> None:
    stopped = threading.Event()
    posts = Posts(Allowance(requests_per_minute=12.5, stop=True))
    reporter = Reporter(CONFIG, post=posts, interval_seconds=0.01, on_stop=stopped.set)
    assert reporter.allowance == Allowance()
    reporter.update(done=1)
    assert stopped.wait(SECONDS)
    assert reporter.allowance.requests_per_minute == 12.5
    reporter.close()


def test_what_is_lent_is_said_back_and_asked_for_again_without_news() -> None:
    lease = QuotaLease(share=0.5, fallback_share=0.25, valid_seconds=30, ends_seconds=900, renew_seconds=0.01)
    posts = Posts(Allowance(requests_per_minute=30, lease=lease))
    reporter = Reporter(CONFIG, post=posts, interval_seconds=0.01)
    assert reporter.connected and not reporter.heard and reporter.quota() is None
    reporter.update(done=1)
    posts.wait_for(lambda bodies: len(bodies) >= 4)
    reporter.close()
    said = [body.fabula.quota for body in posts.bodies if body.fabula is not None]
    assert said[0] is None and said[-1] == QuotaPart(share=0.5, fallback_share=0.25)


def test_what_is_lent_ends_by_itself() -> None:
    now = [100.0]
    lease = QuotaLease(share=0.5, fallback_share=0.25, valid_seconds=30, ends_seconds=900, renew_seconds=60)
    posts = Posts(Allowance(lease=lease))
    reporter = Reporter(CONFIG, post=posts, interval_seconds=0.01, clock=lambda: now[0])
    reporter.update(done=1)
    reporter.close()
    shares = []
    for now[0] in (100.0, 130.0, 131.0, 1000.0, 1001.0):
        held = reporter.quota()
        assert held is not None
        shares.append(held.share)
    assert shares == [0.5, 0.5, 0.25, 0.25, 0.0]


def test_a_failing_server_is_told_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    attempts = threading.Semaphore(0)

    def refuse(body: bytes) -> Allowance:
        attempts.release()
        raise ConnectionRefusedError("nobody there")

    reporter = Reporter(CONFIG, post=refuse, interval_seconds=0.01)
    for done in range(3):
        reporter.update(done=done)
        assert attempts.acquire(timeout=SECONDS)
    reporter.close()
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_a_report_that_nobody_has_is_made_again_without_news() -> None:
    posts, lost = Posts(), iter([True, True])

    def post(body: bytes) -> Allowance:
        if next(lost, False):
            raise TimeoutError("the operator's node is gone")
        return posts(body)

    reporter = Reporter(CONFIG, post=post, interval_seconds=0.01)
    reporter.update(done=7)
    posts.wait_for(lambda bodies: [body.fabula.done for body in bodies if body.fabula] == [7])
    reporter.close()


@contextmanager
def status_server(answer: bytes = b"{}", status: int = 200) -> Iterator[tuple[str, bytes, list[dict[str, Any]]]]:
    """An HTTPS server: (url, CA in PEM, requests seen)."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append({"path": self.path, "token": self.headers["Authorization"], "body": json.loads(body)})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/status", authority.cert_pem.bytes(), seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def report_once(monkeypatch: pytest.MonkeyPatch, url: str, ca: Path, token: Path) -> Reporter:
    monkeypatch.setenv(SERVER_URL_VARIABLE, url)
    monkeypatch.setenv(SERVER_CA_VARIABLE, str(ca))
    monkeypatch.setenv(SERVER_TOKEN_VARIABLE, str(token))
    reporter = Reporter.from_environment(CONFIG)
    reporter.update(done=1)
    reporter.close()
    return reporter


def test_over_https_with_the_token_of_the_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    with status_server(b'{"budgetUsedUp": true}') as (url, pem, seen):
        ca.write_bytes(pem)
        for text in ("first\n", "rotated\n"):
            token.write_text(text)
            assert report_once(monkeypatch, url, ca, token).allowance.budget_used_up
    assert {request["token"] for request in seen} == {"Bearer first", "Bearer rotated"}
    assert seen[0]["path"] == "/status"
    assert seen[0]["body"]["fabula"]["done"] == 1


def test_of_several_operators_the_one_that_listens_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A Service sends each connection to any of them, and those that wait for the lease refuse it."""
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    token.write_text("t")
    connect, met = socket.create_connection, itertools.cycle((*[False] * 20, True))

    def through_the_service(*arguments: Any, **options: Any) -> socket.socket:
        if not next(met):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return connect(*arguments, **options)

    monkeypatch.setattr(socket, "create_connection", through_the_service)
    with status_server() as (url, pem, seen):
        ca.write_bytes(pem)
        for _ in range(3):
            assert report_once(monkeypatch, url, ca, token).heard
    assert len(seen) == 3
    assert caplog.text == ""


def test_an_unknown_server_gets_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    ca.write_bytes(trustme.CA().cert_pem.bytes())
    token.write_text("secret-token")
    with status_server() as (url, _, seen):
        report_once(monkeypatch, url, ca, token)
    assert seen == []
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert "secret-token" not in caplog.text


def test_a_refusal_is_named_by_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    token.write_text("t")
    with status_server(status=403) as (url, pem, _):
        ca.write_bytes(pem)
        report_once(monkeypatch, url, ca, token)
    assert "answers 403" in caplog.text
