"""The HTTP side: bytes in and out, authentication and authorization before anything else."""

import asyncio
import logging
from urllib.parse import unquote

from aiohttp import web

from fabula_local.apiserver.api import Api, Reply, Stream
from fabula_local.apiserver.audit import Audit
from fabula_local.apiserver.auth import Attributes, Authenticator, Authorizer
from fabula_local.apiserver.auth.authentication import account_user
from fabula_local.apiserver.auth.rbac import denial
from fabula_local.apiserver.call import Call, User
from fabula_local.apiserver.documents import Documents
from fabula_local.apiserver.errors import ApiError, internal, too_large
from fabula_local.apiserver.representation import encode
from fabula_local.apiserver.request import RequestInfo, request_info
from fabula_local.apiserver.selectors import exact_name

MAX_BODY_BYTES = 3 * 1024 * 1024
_UNCACHED = {"Cache-Control": "no-cache, private"}
_log = logging.getLogger(__name__)


class Front:
    """Answers every HTTP request."""

    def __init__(
        self, api: Api, documents: Documents, authenticator: Authenticator, authorizer: Authorizer, audit: Audit
    ) -> None:
        self._api = api
        self._documents = documents
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._audit = audit

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure becomes a Status."""
        call: Call | None = None
        try:
            call = await self._call(request)
            answer = self._answer(call)
        except ApiError as problem:
            answer = Reply(problem.code, encode(problem.status()))
        except Exception as problem:
            _log.exception("request failed: %s %s", request.method, request.path)
            answer = Reply(500, encode(internal(f"{type(problem).__name__}: {problem}").status()))
        warnings = call.warnings if call else []
        if isinstance(answer, Stream):
            return await _stream(request, answer)
        response = web.Response(
            body=answer.body, status=answer.code, headers={"Content-Type": answer.media, **_UNCACHED}
        )
        for text in warnings:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    async def _call(self, request: web.BaseRequest) -> Call:
        user = self._authenticator.user(request.headers)
        path = unquote(request.rel_url.raw_path)
        info = request_info(request.method, path, request.query)
        user = self._impersonated(user, request)
        self._audit.note(user, info)
        self._authorize(user, info, request.query.get("fieldSelector", ""))
        body = b""
        if request.can_read_body:
            try:
                body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                raise too_large(MAX_BODY_BYTES) from None
        return Call(info, request.query, request.headers, user, body)

    def _answer(self, call: Call) -> Reply | Stream:
        if call.info.is_resource:
            info = call.info
            if self._api.writer.registry.find(info.group, info.version, info.resource) is not None:
                return self._api.handle(call)
        elif (document := self._documents.find(call.info.path, call.headers.get("Accept", ""))) is not None:
            return Reply(200, document[1], document[0])
        return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")

    def _authorize(self, user: User, info: RequestInfo, field_selector: str) -> None:
        if not info.is_resource:
            self._require(user, Attributes(info.verb, path=info.path))
            return
        name = info.name or (exact_name(field_selector) if info.verb in ("list", "watch", "deletecollection") else "")
        self._require(
            user,
            Attributes(info.verb, info.group, info.resource, info.subresource, info.namespace, name),
        )

    def _require(self, user: User, wanted: Attributes) -> None:
        if self._authorizer.allows(user, wanted):
            return
        text = denial(user, wanted)
        if wanted.path:
            raise ApiError(403, "Forbidden", f"forbidden: {text}", {})
        resource = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
        subject = f'{resource} "{wanted.name}"' if wanted.name else resource
        details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
        raise ApiError(
            403, "Forbidden", f"{subject} is forbidden: {text}", {key: value for key, value in details.items() if value}
        )

    def _impersonated(self, user: User, request: web.BaseRequest) -> User:
        """The user that --as names, where the caller may act for them."""
        name = request.headers.get("Impersonate-User")
        if not name:
            return user
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        parts = name.split(":")
        if name.startswith("system:serviceaccount:") and len(parts) == 4:
            self._require(user, Attributes("impersonate", "", "serviceaccounts", "", parts[2], parts[3]))
            account = account_user(parts[2], parts[3])
            return User(name, groups or account.groups)
        self._require(user, Attributes("impersonate", "", "users", "", "", name))
        for group in groups:
            self._require(user, Attributes("impersonate", "", "groups", "", "", group))
        return User(name, (*groups, "system:authenticated"))


async def _stream(request: web.BaseRequest, stream: Stream) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": stream.media, **_UNCACHED})
    try:
        await response.prepare(request)
        async for block in stream.frames:
            await response.write(block)
        await response.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        # The client is gone, which is how most watches end.
        raise
    finally:
        await stream.frames.aclose()  # type: ignore[attr-defined]
    return response
