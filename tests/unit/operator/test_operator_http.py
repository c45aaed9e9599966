"""Calls of the API server over real HTTP: credentials, kept connections, and what a failed call is called."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import Cluster, User, UserExec

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

    def config(self, user: User, path: str = "") -> SingleConfig:
        cluster = Cluster(server=f"http://127.0.0.1:{self.http.port}{path}")
        found = KubeConfig.from_one(cluster=cluster, user=user).get()
        assert found is not None
        return found

    def signed(self) -> list[str | None]:
        return [one.headers.get("Authorization") for one in self.asked]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.http.start_server()
    yield made
    await made.http.close()


async def test_calls_go_one_after_the_other_over_one_connection(server: Server) -> None:
    api = Api.of_config(server.config(User(token="t")))
    for _ in range(5):
        await api.list(JOB, "team", "a=b,c")
    await api.close()
    assert len(server.peers) == 1
    assert {one.path_qs for one in server.asked} == {
        "/apis/batch/v1/namespaces/team/jobs?limit=500&labelSelector=a%3Db%2Cc"
    }
    assert {one.headers["User-Agent"] for one in server.asked} == {"fabula-operator"}
    assert {one.query["labelSelector"] for one in server.asked} == {"a=b,c"}


async def test_a_server_below_a_path_is_called_there(server: Server) -> None:
    api = Api.of_config(server.config(User(token="t"), "/k8s/clusters/c-1/"))
    await api.get(POD, "team", "a")
    await api.close()
    assert server.asked[0].path == "/k8s/clusters/c-1/api/v1/namespaces/team/pods/a"


async def test_a_body_is_sent_as_what_it_is(server: Server) -> None:
    api = Api.of_config(server.config(User(token="t")))
    await api.patch(POD, "team", "a", {"metadata": {"uid": "ü"}})
    await api.close()
    assert server.bodies == ['{"metadata":{"uid":"ü"}}'.encode()]
    assert server.asked[0].headers["Content-Type"] == "application/merge-patch+json"


async def test_a_token_in_a_file_is_read_anew_once_it_is_refused(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    api = Api.of_config(server.config(User(token="old", token_file=str(token))))
    await api.get(POD, "team", "a")
    token.write_text("new\n")
    await api.get(POD, "team", "a")
    server.accepted = {"Bearer new"}
    await api.get(POD, "team", "a")
    assert server.signed() == ["Bearer old"] * 3 + ["Bearer new"]
    token.unlink()
    server.accepted = set()
    with pytest.raises(ApiError, match=r"no credentials: Token file .* not found"):
        await api.get(POD, "team", "a")
    await api.close()


async def test_who_is_refused_for_good_is_told_so(server: Server) -> None:
    server.accepted = set()
    api = Api.of_config(server.config(User(token="t")))
    with pytest.raises(ApiError, match="401 Unauthorized: who are you"):
        await api.get(POD, "team", "a")
    await api.close()
    assert len(server.asked) == 1, "a token that is no file does not change"


async def test_a_program_and_a_password_sign_too(server: Server) -> None:
    credential = '{"status": {"token": "made"}}'
    program = UserExec(apiVersion="client.authentication.k8s.io/v1beta1", command="echo", args=[credential])
    word = "word"
    for user in (User(exec=program), User(username="me", password=word)):
        api = Api.of_config(server.config(user))
        await api.get(POD, "team", "a")
        await api.close()
    assert server.signed() == ["Bearer made", f"Basic {base64.b64encode(f'me:{word}'.encode()).decode()}"]


async def test_an_error_has_the_servers_words_and_each_answer_is_counted(server: Server) -> None:
    server.answer = web.json_response(
        {"reason": "TooMany", "message": "later"}, status=429, headers={"Retry-After": "7"}
    )
    api = Api.of_config(server.config(User(token="t")))
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


async def test_without_credentials_nothing_is_signed_and_without_a_user_nothing_is_called(server: Server) -> None:
    config = server.config(User())
    api = Api.of_config(config)
    await api.get(POD, "team", "a")
    await api.close()
    assert server.signed() == [None]
    with pytest.raises(ValueError, match="names no user"):
        Api.of_config(config._replace(user=None))
