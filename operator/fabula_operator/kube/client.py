"""One client for one API server: dicts in, dicts out. Every write passes one gate, where tests may end the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from fabula_kube.connection import Connection, NoAnswer, Transport
from fabula_kube.credentials import SERVICE_ACCOUNT as SERVICE_ACCOUNT
from fabula_kube.credentials import Credentials, from_kubeconfig, from_service_account
from fabula_kube.errors import ApiError as ApiError
from fabula_kube.errors import error_of
from fabula_operator.kube.resources import Obj, Request, Resource, request_of

FIELD_MANAGER = "fabula-operator"
MERGE_PATCH = "application/merge-patch+json"
PAGE = 500


@dataclass(frozen=True, slots=True)
class Write:
    """One write that is about to happen, or has happened."""

    verb: str
    resource: str
    """Plural name, with the subresource behind a slash."""
    namespace: str | None
    name: str


class WriteGate(Protocol):
    """Sees every write. Raising in `before` prevents it, raising in `after` loses its answer."""

    async def before(self, write: Write) -> None: ...

    async def after(self, write: Write) -> None: ...


class OpenGate:
    """Lets every write through."""

    async def before(self, write: Write) -> None:
        return None

    async def after(self, write: Write) -> None:
        return None


class Api:
    """Calls one API server as one user."""

    def __init__(self, http: Transport, gate: WriteGate | None = None) -> None:
        self._http = http
        self.answered: Callable[[Request, int], None] | None = None
        """Told of each call and the code of its answer, 0 where none came."""
        self.gate: WriteGate = gate or OpenGate()

    @classmethod
    def connect(
        cls, kubeconfig: Path | None = None, gate: WriteGate | None = None, account: Path = SERVICE_ACCOUNT
    ) -> Api:
        """A client for a kubeconfig's current context, or, without one, for the cluster this pod runs in."""
        return cls(Connection(credentials(kubeconfig, account), FIELD_MANAGER), gate)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """One call and its decoded answer. Raises ApiError; a connection that fails is ApiError 503."""
        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            content = orjson.dumps(body)
            headers["Content-Type"] = content_type
        try:
            answer = await self._http.ask(method, path, params or {}, headers, content)
        except NoAnswer as error:
            self._tell(method, path, 0)
            raise ApiError(503, "NoAnswer", f"{method} {path}: {error}") from error
        self._tell(method, path, answer.code)
        if answer.code >= 300:
            raise error_of(answer.code, answer.headers, answer.body)
        return orjson.loads(answer.body) if answer.body else None

    def _tell(self, method: str, path: str, code: int) -> None:
        if self.answered is not None:
            self.answered(request_of(method, path), code)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj | None:
        """The object, or None."""
        try:
            obj: Obj = await self.request("GET", resource.path(namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return obj

    async def get_path(self, path: str) -> Obj | None:
        """What lies at a path, such as a discovery document, or None."""
        try:
            document: Obj = await self.request("GET", path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return document

    async def pages(
        self, resource: Resource, namespace: str | None, labels: str | None = None
    ) -> AsyncIterator[Sequence[Obj]]:
        """All objects, a page at a time, so that nobody need hold them all; apiVersion and kind are filled in."""
        params = {"limit": str(PAGE)}
        if labels:
            params["labelSelector"] = labels
        while True:
            page = await self.request("GET", resource.path(namespace), params=params)
            items: Sequence[Obj] = page.get("items") or ()
            for item in items:
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield items
            if not (token := page["metadata"].get("continue")):
                return
            params["continue"] = token

    async def list(self, resource: Resource, namespace: str | None, labels: str | None = None) -> list[Obj]:
        """All objects, with apiVersion and kind filled in."""
        return [obj async for page in self.pages(resource, namespace, labels) for obj in page]

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        """Create the object; the stored one."""
        meta = obj["metadata"]
        write = Write("create", resource.plural, meta.get("namespace"), meta.get("name", ""))
        path = resource.path(meta.get("namespace"))
        created: Obj = await self._write(write, "POST", path, obj, {"fieldManager": FIELD_MANAGER})
        return created

    async def review(self, resource: Resource, obj: Obj) -> Obj:
        """Ask one of the review kinds, which store nothing and so are no writes."""
        answer: Obj = await self.request("POST", resource.path(), body=obj)
        return answer

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Obj, subresource: str | None = None
    ) -> Obj:
        """Apply a JSON merge patch; with a resourceVersion in it, a stale one is ApiError 409."""
        target = f"{resource.plural}/{subresource}" if subresource else resource.plural
        write = Write("patch", target, namespace, name)
        path = resource.path(namespace, name, subresource)
        stored: Obj = await self._write(write, "PATCH", path, patch, {"fieldManager": FIELD_MANAGER}, MERGE_PATCH)
        return stored

    async def replace(self, resource: Resource, obj: Obj) -> Obj:
        """PUT the object; a stale resourceVersion is ApiError 409."""
        meta = obj["metadata"]
        write = Write("update", resource.plural, meta.get("namespace"), meta["name"])
        path = resource.path(meta.get("namespace"), meta["name"])
        stored: Obj = await self._write(write, "PUT", path, obj, {"fieldManager": FIELD_MANAGER})
        return stored

    async def delete(self, resource: Resource, namespace: str | None, name: str, uid: str) -> Obj | None:
        """Delete that very object and, in the background, what it owns; the object while something holds it back, else
        None: it is gone, or was already."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        write = Write("delete", resource.plural, namespace, name)
        try:
            answer: Obj = await self._write(write, "DELETE", resource.path(namespace, name), options)
        except ApiError as error:
            if error.code in (404, 409):
                return None
            raise
        return answer if "uid" in (answer.get("metadata") or {}) else None

    async def _write(
        self,
        write: Write,
        method: str,
        path: str,
        body: Obj,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        await self.gate.before(write)
        answer = await self.request(method, path, body=body, params=params, content_type=content_type)
        await self.gate.after(write)
        return answer


def credentials(kubeconfig: Path | None, account: Path = SERVICE_ACCOUNT) -> Credentials:
    """Those of a kubeconfig's current context, or of the cluster this pod runs in, by the folder `account` with its
    ServiceAccount's token. Raises NoCredentials, a ValueError that says what is missing."""
    return from_kubeconfig(kubeconfig) if kubeconfig else from_service_account(account)
