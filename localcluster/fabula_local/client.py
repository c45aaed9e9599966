"""A generic Kubernetes client for controllers and the node: dicts in, dicts out, any API server.

Controllers need watch bookmarks, delete preconditions, and kinds known only from discovery.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from yarl import URL

from fabula_kube.connection import Connection
from fabula_kube.connection import NoAnswer as NoAnswer
from fabula_kube.credentials import from_kubeconfig
from fabula_kube.errors import ApiError as ApiError
from fabula_kube.errors import error_of

from .kinds import Kind, Obj

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


class Api:
    """Calls one API server as one user."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.authority = connection.credentials.authority
        """The CA certificate of the API server, as PEM; empty where the kubeconfig names none."""

    @classmethod
    def from_kubeconfig(cls, path: Path, *, user_agent: str = "fabula-local") -> "Api":
        """A client for the current context of a kubeconfig file. Raises NoCredentials."""
        return cls(Connection(from_kubeconfig(path), user_agent))

    @property
    def base_url(self) -> URL:
        """Address of the API server."""
        return URL(self._connection.server)

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """One call; the decoded answer. Raises ApiError for anything but success, NoAnswer where none came.

        Asked to come back later (429), it does so, at most five times.
        """
        content = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = content_type
        for attempt in range(6):
            answer = await self._connection.ask(method, path, params or {}, headers, content)
            if answer.code < 300:
                return orjson.loads(answer.body) if answer.body else None
            error = error_of(answer.code, answer.headers, answer.body)
            if error.code != 429 or attempt == 5:
                raise error
            await asyncio.sleep((error.retry_after or 1.0) * random.uniform(1.0, 1.2))  # noqa: S311
        raise AssertionError("unreachable")

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj:
        """The object; ApiError 404 if there is none."""
        obj: Obj = await self.request("GET", kind.path(namespace, name))
        return obj

    async def find(self, kind: Kind, name: str, namespace: str | None = None) -> Obj | None:
        """The object, or None."""
        try:
            return await self.get(kind, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        accept: str = "application/json",
        page_size: int = 500,
    ) -> tuple[list[Obj], str]:
        """All objects and the resourceVersion of the list. Items carry apiVersion and kind."""
        params = {"limit": str(page_size)}
        if labels:
            params["labelSelector"] = labels
        if fields:
            params["fieldSelector"] = fields
        items: list[Obj] = []
        while True:
            page = await self.request("GET", kind.path(namespace), params=params, accept=accept)
            items += page.get("items") or ()
            token = page["metadata"].get("continue")
            if not token:
                break
            params["continue"] = token
        for item in items:
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return items, str(page["metadata"].get("resourceVersion", ""))

    async def create(self, kind: Kind, obj: Obj, namespace: str | None = None) -> Obj:
        """Create the object; the stored one."""
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        path = kind.path(namespace or obj["metadata"].get("namespace"))
        created: Obj = await self.request("POST", path, body=body)
        return created

    async def replace(self, kind: Kind, obj: Obj, subresource: str | None = None) -> Obj:
        """PUT the object (or its status); a stale resourceVersion is ApiError 409."""
        meta = obj["metadata"]
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        path = kind.path(meta.get("namespace"), meta["name"], subresource)
        stored: Obj = await self.request("PUT", path, body=body)
        return stored

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        subresource: str | None = None,
        content_type: str = MERGE_PATCH,
    ) -> Obj:
        """Patch the object; a JSON merge patch unless told otherwise."""
        path = kind.path(namespace, name, subresource)
        stored: Obj = await self.request("PATCH", path, body=patch, content_type=content_type)
        return stored

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
        propagation: str | None = None,
    ) -> bool:
        """Delete the object, that very one if `uid` is given; False if it was already gone or replaced."""
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        try:
            await self.request("DELETE", kind.path(namespace, name), body=options)
        except ApiError as error:
            if error.not_found or (error.conflict and uid):
                return False
            raise
        return True

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str,
        labels: str | None = None,
        fields: str | None = None,
        accept: str = "application/json",
        timeout_seconds: int = 290,
    ) -> AsyncIterator[tuple[str, Obj]]:
        """(type, object) for each change after `resource_version`, bookmarks included, until the server ends it.

        An ERROR event is raised as ApiError.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        if labels:
            params["labelSelector"] = labels
        if fields:
            params["fieldSelector"] = fields
        # The server ends the watch by its own timeout; silence much beyond it means a dead connection.
        async with self._connection.stream(
            kind.path(namespace), params, {"Accept": accept}, timeout_seconds + 30.0
        ) as answer:
            if answer.status >= 300:
                raise error_of(answer.status, answer.headers, await answer.read())
            pending = b""
            async for chunk in answer.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if not line.strip():
                        continue
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiError(
                            int(status.get("code", 500)), str(status.get("reason")), str(status.get("message"))
                        )
                    yield event["type"], event["object"]

    async def text(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """What lies at a path as text, such as a log. Raises ApiError, NoAnswer."""
        answer = await self._connection.ask("GET", path, params or {}, {}, None)
        if answer.code >= 300:
            raise error_of(answer.code, answer.headers, answer.body)
        return answer.body.decode("utf-8", "replace")
