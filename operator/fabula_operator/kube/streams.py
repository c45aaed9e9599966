"""kopf's watch streams, over our own connections, and nothing else of kopf.

kopf lists a kind page by page, watches from there, goes on where a watch was cut, lists anew where its place is too old
(410), and waits as long as a busy server asks (429). What it does after that, a task, a memory and a worker for each
object, costs more than a millisecond of CPU an event and has no use here: the queue is ours. That part has no switch,
so the stream is taken from inside kopf; `tests/unit/operator/test_operator_streams.py` fails the day that changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn, TypeVar

import kopf
from kopf._cogs.clients import api as kopf_api
from kopf._cogs.clients.auth import vault_var
from kopf._cogs.clients.watching import Bookmark, infinite_watch
from kopf._cogs.structs.credentials import KubeContext, Vault, VaultKey
from kopf._cogs.structs.references import NamespaceName
from kopf._cogs.structs.references import Resource as KopfResource

from fabula_kube.connection import Connection, read_json
from fabula_operator.kube.client import PAGE
from fabula_operator.kube.resources import Obj, Resource

T = TypeVar("T")


class _Json:
    """In place of the standard library's, which takes a tenth of all that a new run takes for its three events."""

    loads = staticmethod(read_json)


kopf_api.json = _Json  # type: ignore[assignment, attr-defined]
SERVER_TIMEOUT = 290
CLIENT_TIMEOUT = 320


class Mark(Enum):
    """What a stream says besides events."""

    LISTED = auto()
    """Everything that is there has been told."""


class _Signed(Vault):
    """The session signs each call and renews what it signs with, so there is nobody to ask for other credentials."""

    async def invalidate(self, key: VaultKey, info: KubeContext, *, exc: Exception | None = None) -> NoReturn:
        raise exc or kopf.LoginError("the API server refuses the credentials")


class Streams:
    """Endless streams of one API server's events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def events(
        self, resource: Resource, namespace: str | None, labels: str | None = None
    ) -> AsyncGenerator[tuple[str | None, Obj] | Mark]:
        """(Type, object) of each event, None for one that a list tells of, `Mark.LISTED` after each list.

        Raises what no waiting mends, and what was not mended by some: a right that is missing, a kind that is gone.
        """
        session = kopf.AiohttpSession(server=self._connection.server, aiohttp_session=self._connection.session)
        # Each stream runs in a task of its own, and so in a context of its own.
        vault_var.set(_Signed({"ours": session}))
        theirs = KopfResource(resource.group, resource.version, resource.plural, namespaced=resource.namespaced)
        # What a list names once holds for each of its items.
        named = {"apiVersion": resource.api_version, "kind": resource.kind}
        where = NamespaceName(namespace) if namespace else None
        stream = infinite_watch(settings=_settings(theirs, labels), resource=theirs, namespace=where)
        # While a page is taken in, the server is at work on the next one.
        async with aclosing(ahead(stream, PAGE)) as events:
            async for event in events:
                if isinstance(event, Bookmark):
                    yield Mark.LISTED
                elif event["type"] != "BOOKMARK":
                    yield event["type"], named | event["object"]


def _settings(resource: KopfResource, labels: str | None) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.watching.server_timeout = SERVER_TIMEOUT
    settings.watching.client_timeout = CLIENT_TIMEOUT
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = PAGE
    settings.networking.request_timeout = 30
    # kopf's own go up to four minutes, and nothing would be heard meanwhile.
    settings.networking.error_backoffs = (0.5, 1, 2, 4)
    if labels:
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = labels
    return settings


async def ahead(source: AsyncIterator[T], most: int) -> AsyncGenerator[T]:
    """The same in the same order, asked for up to so many before they are taken. Raises what the source raises, in its
    place."""
    queue: asyncio.Queue[T | _End] = asyncio.Queue(most)

    async def fill() -> None:
        error: Exception | None = None
        try:
            async for item in source:
                await queue.put(item)
        except Exception as raised:
            error = raised
        await queue.put(_End(error))

    filling = asyncio.create_task(fill())
    try:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None
