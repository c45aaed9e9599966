"""Calls over HTTP, with a kubeconfig's credentials, on connections that are kept.

lightkube reads credentials and says how they sign a request; aiohttp carries it, at a quarter of the CPU time of the
client that lightkube comes with.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import quote, urlencode

import aiohttp
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ConfigError
from yarl import URL

if TYPE_CHECKING:
    import httpx2

REQUEST_SECONDS = 15.0
"""How long a connection may take, and any pause within an answer."""
CONNECTIONS = 40
"""Those of the watches among them."""


class NoAnswer(Exception):
    """No answer came; what was asked for may have happened all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    code: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Carries calls to one server."""

    async def ask(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """One call. Raises NoAnswer."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(slots=True)
class _Answered:
    """What they ask of an answer: a token in a file is read anew, and a program asked again, once one is refused."""

    status_code: int


class Http:
    """Calls the server of one kubeconfig's context."""

    def __init__(self, config: SingleConfig, agent: str) -> None:
        """`agent` names the caller to the server. Raises ValueError for credentials that cannot be used."""
        if config.user is None:
            raise ValueError("the kubeconfig's current context names no user")
        self._server = config.cluster.server.rstrip("/")
        self._tls: ssl.SSLContext = verify_cluster(config.cluster, config.user, config.abs_file, trust_env=False)
        try:
            self._auth = user_auth(config.user)
        except ConfigError as error:
            raise ValueError(f"the kubeconfig's user cannot be used: {error}") from error
        self._agent = agent
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """Where the API server is."""
        return self._server

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, for those who speak HTTP themselves. What goes over them is signed."""
        if self._session is None:
            # Connections belong to the loop that runs at the first call.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=CONNECTIONS, loop=asyncio.get_running_loop()),
                timeout=aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=REQUEST_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._agent},
                middlewares=() if self._auth is None else (self._sign,),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """One call, signed. Raises NoAnswer."""
        url = URL(f"{self._server}{quote(path)}{'?' + urlencode(params) if params else ''}", encoded=True)
        try:
            async with self.session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(type(error).__name__) from error
        except ConfigError as error:
            raise NoAnswer(f"no credentials: {error}") from error

    async def _sign(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Sign a request, and once more where it is refused and other credentials can be had. Raises ConfigError."""
        assert self._auth is not None
        signing = self._auth.async_auth_flow(cast("httpx2.Request", request))
        await anext(signing)
        while True:
            answer = await send(request)
            try:
                await signing.asend(cast("httpx2.Response", _Answered(answer.status)))
            except StopAsyncIteration:
                return answer
            answer.release()
