"""Calls over HTTP on connections that are kept, signed with credentials that are renewed.

The official client makes TLS and connections; its typed calls are left out, for they turn each answer into models,
which takes many times the CPU of the call itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from fabula_kube.credentials import Credentials, NoCredentials

REQUEST_SECONDS = 15.0
"""How long a connection may take, and any pause within an answer."""
CONNECTIONS = 64
"""At once; each watch holds one."""
FRESH_SECONDS = 60.0
"""So often what ends by itself is looked at."""


class NoAnswer(ConnectionError):
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


def read_json(text: str | bytes) -> Any:
    """What a text says, several times as fast as the standard library has it. Raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # A lone surrogate, which others may write: the standard library has its own way with it.
        return json.loads(text)


class _Response(aiohttp.ClientResponse):
    """Reads JSON several times as fast as the standard library, with which kopf takes lists."""

    async def json(self, **how: Any) -> Any:
        text = await self.read()
        if how or not text or self.content_type != "application/json":
            return await super().json(**how)
        return read_json(text)


class _Rest(RESTClientObject):  # type: ignore[misc]  # the official client's types are not read
    """The official client's TLS and connections, lent to others: it says itself to override this for that."""

    pool_manager: aiohttp.ClientSession | None

    def session(self) -> aiohttp.ClientSession:
        if self.pool_manager is None:
            # Connections belong to the loop that runs at the first call.
            self.pool_manager = self._create_pool_manager()
        return self.pool_manager


class Connection:
    """Calls one server as one user."""

    def __init__(self, credentials: Credentials, agent: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`agent` names the caller to the server. Raises NoCredentials for a certificate that cannot be used."""
        self.credentials = credentials
        self._clock = clock
        self._looked = clock()
        self._renewing = asyncio.Lock()
        configuration = credentials.configuration
        configuration.connection_pool_maxsize = CONNECTIONS
        # The environment's proxies and passwords are for other servers; a kubeconfig says itself which proxy it needs.
        configuration.client_session_kwargs = {
            "trust_env": False,
            "proxy": configuration.proxy,
            "timeout": aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=REQUEST_SECONDS),
            "headers": {"User-Agent": agent},
            "middlewares": (self._sign,),
            "response_class": _Response,
        }
        try:
            self._rest = _Rest(configuration)
        except (OSError, ValueError) as error:
            raise NoCredentials(f"the server's authority or the user's certificate cannot be used: {error}") from error

    @property
    def server(self) -> str:
        """Where the API server is."""
        return self.credentials.server

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, for those who speak HTTP themselves. What goes over them is signed."""
        return self._rest.session()

    async def close(self) -> None:
        """Close all connections."""
        await self._rest.close()
        self._rest.pool_manager = None

    async def ask(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """One call. Raises NoAnswer."""
        try:
            async with self.session.request(
                method, self._url(path, params), headers=headers, data=body, allow_redirects=False
            ) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except NoCredentials as error:
            raise NoAnswer(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(type(error).__name__) from error

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str], silence_seconds: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is read as it comes, with pauses in it up to so long. Raises NoAnswer, also meanwhile."""
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=silence_seconds)
        try:
            async with self.session.get(
                self._url(path, params), headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                yield answer
        except NoCredentials as error:
            raise NoAnswer(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(type(error).__name__) from error

    def _url(self, path: str, params: Mapping[str, str]) -> URL:
        return URL(f"{self.server}{quote(path)}{'?' + urlencode(params) if params else ''}", encoded=True)

    async def _sign(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Sign a request, and once more if it is refused and something else is to be had. Raises NoCredentials."""
        if self._clock() - self._looked > FRESH_SECONDS:
            self._looked = self._clock()
            await asyncio.to_thread(self.credentials.freshen)
        if name := self.credentials.configuration.tls_server_name:
            request.server_hostname = name
        if (used := self.credentials.authorization) is not None:
            request.headers["Authorization"] = used
        answer = await send(request)
        if answer.status != 401 or (renewed := await self._renew(used)) is None:
            return answer
        answer.release()
        request.headers["Authorization"] = renewed
        return await send(request)

    async def _renew(self, refused: str | None) -> str | None:
        """What signs instead of what was refused; None where nothing else is to be had. Many that are refused at once
        ask once."""
        async with self._renewing:
            if self.credentials.authorization == refused:
                await asyncio.to_thread(self._renew_all)
        renewed = self.credentials.authorization
        return renewed if renewed != refused else None

    def _renew_all(self) -> None:
        self.credentials.renew()
        configuration = self.credentials.configuration
        if configuration.cert_file:
            # For the connections from here on.
            self._rest.ssl_context.load_cert_chain(configuration.cert_file, configuration.key_file)
