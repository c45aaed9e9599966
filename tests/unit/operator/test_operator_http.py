"""Calls of the API server over real HTTP: credentials, kept connections, and what a failed call is called."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.support.kubeconfig import kubeconfig

from fabula_kube.credentials import NoCredentials, from_kubeconfig, from_service_account
from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.resources import JOB, POD, Request


class Server:
    """An API server that keeps what it was asked and answers as it is told."""

    def __init__(self) -> None:
        self.accepted: set[str] | None = None
        """Values of Authorization that are let in; None for all."""
        self.answer: web.Response | None = None
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.peers: set[object] = set()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self.http = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.bodies.append(await request.read())
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        if self.accepted is not None and request.headers.get("Authorization") not in self.accepted:
            return web.json_response({"reason": "Unauthorized", "message": "who are you"}, status=401)
        return self.answer or web.json_response({"metadata": {}, "items": []})

    def api(self, folder: Path, user: dict[str, Any], path: str = "") -> Api:
        """A client by a kubeconfig with that user."""
        return Api.connect(kubeconfig(folder, f"http://127.0.0.1:{self.http.port}{path}", user))

    def signed(self) -> list[str | None]:
        return [one.headers.get("Authorization") for one in self.asked]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.http.start_server()
    yield made
    await made.http.close()


async def test_calls_go_one_after_the_other_over_one_connection(server: Server, tmp_path: Path) -> None:
    api = server.api(tmp_path, {"token": "t"})
    for _ in range(5):
        await api.list(JOB, "team", "a=b,c")
    await api.close()
    assert len(server.peers) == 1
    assert {one.path_qs for one in server.asked} == {
        "/apis/batch/v1/namespaces/team/jobs?limit=500&labelSelector=a%3Db%2Cc"
    }
    assert {one.headers["User-Agent"] for one in server.asked} == {"fabula-operator"}
    assert {one.query["labelSelector"] for one in server.asked} == {"a=b,c"}


async def test_a_server_below_a_path_is_called_there(server: Server, tmp_path: Path) -> None:
    api = server.api(tmp_path, {"token": "t"}, "/k8s/clusters/c-1/")
    await api.get(POD, "team", "a")
    await api.close()
    assert server.asked[0].path == "/k8s/clusters/c-1/api/v1/namespaces/team/pods/a"


async def test_a_body_is_sent_as_what_it_is(server: Server, tmp_path: Path) -> None:
    api = server.api(tmp_path, {"token": "t"})
    await api.patch(POD, "team", "a", {"metadata": {"uid": "ü"}})
    await api.close()
    assert server.bodies == ['{"metadata":{"uid":"ü"}}'.encode()]
    assert server.asked[0].headers["Content-Type"] == "application/merge-patch+json"


async def test_a_token_in_a_file_is_read_anew_once_it_is_refused(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    api = server.api(tmp_path, {"token": "old", "tokenFile": str(token)})
    await api.get(POD, "team", "a")
    token.write_text("new\n")
    await api.get(POD, "team", "a")
    server.accepted = {"Bearer new"}
    await api.get(POD, "team", "a")
    assert server.signed() == ["Bearer old"] * 3 + ["Bearer new"]
    token.unlink()
    server.accepted = set()
    with pytest.raises(ApiError, match=r"no credentials for a cluster: .*No such file"):
        await api.get(POD, "team", "a")
    await api.close()


async def test_who_is_refused_for_good_is_told_so(server: Server, tmp_path: Path) -> None:
    server.accepted = set()
    api = server.api(tmp_path, {"token": "t"})
    with pytest.raises(ApiError, match="401 Unauthorized: who are you"):
        await api.get(POD, "team", "a")
    await api.close()
    assert len(server.asked) == 1, "a token that is no file does not change"


async def test_a_program_and_a_password_sign_too(server: Server, tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": "made"}}
    program = {"apiVersion": version, "command": "echo", "args": [json.dumps(credential)], "interactiveMode": "Never"}
    word = "word"
    for user in ({"exec": program}, {"username": "me", "password": word}):
        api = server.api(tmp_path, user)
        await api.get(POD, "team", "a")
        await api.close()
    assert server.signed() == ["Bearer made", f"Basic {base64.b64encode(f'me:{word}'.encode()).decode()}"]


async def test_an_error_has_the_servers_words_and_each_answer_is_counted(server: Server, tmp_path: Path) -> None:
    server.answer = web.json_response(
        {"reason": "TooMany", "message": "later"}, status=429, headers={"Retry-After": "7"}
    )
    api = server.api(tmp_path, {"token": "t"})
    counted: list[tuple[Request, int]] = []
    api.answered = lambda request, code: counted.append((request, code))
    with pytest.raises(ApiError) as raised:
        await api.get(POD, "team", "a")
    assert (raised.value.code, raised.value.reason, raised.value.retry_after) == (429, "TooMany", 7.0)
    server.answer = web.Response(status=302, headers={"Location": "/elsewhere"}, text="over there")
    with pytest.raises(ApiError, match="302 Unknown: over there"):
        await api.get(POD, "team", "a")
    await server.http.close()
    with pytest.raises(ApiError, match="503 NoAnswer: GET /api/v1/namespaces/team/pods/a: Client"):
        await api.get(POD, "team", "a")
    await api.close()
    assert counted == [(Request("get", "pods"), code) for code in (429, 302, 0)]


async def test_a_program_that_gives_no_token_is_named_and_one_whose_token_is_refused_is_asked_again(
    server: Server, tmp_path: Path
) -> None:
    version = "client.authentication.k8s.io/v1"
    with pytest.raises(NoCredentials, match="the program false gave none"):
        server.api(tmp_path, {"exec": {"apiVersion": version, "command": "false"}})
    count = tmp_path / "count"
    count.write_text("x")
    answer = f'{{"apiVersion": "{version}", "kind": "ExecCredential", "status": {{"token": "%s"}}}}'
    script = f"printf x >> {count}; printf '{answer}' \"$(cat {count})\""
    api = server.api(tmp_path, {"exec": {"apiVersion": version, "command": "sh", "args": ["-c", script]}})
    await api.get(POD, "team", "a")
    server.accepted = {"Bearer xxx"}
    await asyncio.gather(*(api.get(POD, "team", name) for name in "abcd"))
    await api.close()
    assert count.read_text() == "xxx", "once at the start, and once for the four that were refused together"


async def test_without_credentials_nothing_is_signed_and_without_a_user_nothing_is_called(
    server: Server, tmp_path: Path
) -> None:
    api = server.api(tmp_path, {})
    await api.get(POD, "team", "a")
    await api.close()
    assert server.signed() == [None]
    with pytest.raises(NoCredentials, match="names no user"):
        Api.connect(kubeconfig(tmp_path, "http://127.0.0.1:1", None))


def test_what_is_missing_of_a_kubeconfig_is_said(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1", {"token": "t"})
    with pytest.raises(NoCredentials, match="has no context two; it has one"):
        from_kubeconfig(path, "two")
    with pytest.raises(NoCredentials, match="not there or is empty"):
        from_kubeconfig(tmp_path / "absent")
    path.write_text(path.read_text().replace("current-context: one", ""))
    with pytest.raises(NoCredentials, match="kubectl config use-context"):
        from_kubeconfig(path)
    path.write_text("- no\n- kubeconfig\n")
    with pytest.raises(NoCredentials, match="is no kubeconfig"):
        from_kubeconfig(path)


def test_of_several_kubeconfigs_the_first_one_counts_as_for_kubectl(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = kubeconfig(tmp_path / "a", "http://first:1", {"token": "first"})
    second = kubeconfig(tmp_path / "b", "http://second:2", {"token": "second"})
    second.write_text(second.read_text().replace("one", "two").replace("here", "there").replace("me\n", "you\n"))
    both = f"{first}:{tmp_path / 'absent'}:{second}"
    found = from_kubeconfig(both)
    assert (found.server, found.authorization, found.namespace) == ("http://first:1", "Bearer first", "team")
    other = from_kubeconfig(both, "two")
    assert other.server == "http://second:2"


def test_a_pods_account_is_read_from_its_folder_and_its_absence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(NoCredentials, match="--kubeconfig"):
        from_service_account(tmp_path)
    (tmp_path / "token").write_text("mine")
    (tmp_path / "ca.crt").write_text("PEM")
    (tmp_path / "namespace").write_text("fabula\n")
    found = from_service_account(tmp_path)
    assert (found.server, found.namespace, found.authority) == ("https://[fd00::1]:443", "fabula", "PEM")
    assert (found.authorization or "").lower() == "bearer mine"
    (tmp_path / "token").write_text("rotated")
    found.renew()
    assert (found.authorization or "").lower() == "bearer rotated"
