"""A generic Kubernetes client for controllers and the node: dicts in, dicts out, any API server.

lightkube reads the kubeconfig and brings authentication and TLS. Its resource layer is left out because controllers
need what it does not offer: watch bookmarks, delete preconditions, and kinds known only from discovery.
"""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import orjson
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig

from .kinds import Kind, Obj

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


class ApiError(Exception):
    """An answer of the API server that is not a success."""

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the server wants to be asked again, where it said so."""

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def conflict(self) -> bool:
        return self.code == 409

    @property
    def gone(self) -> bool:
        """The resourceVersion is too old: list again."""
        return self.code == 410 or self.reason in ("Expired", "Gone")

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"


def _error(code: int, body: bytes, retry_after: str | None) -> ApiError:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    reason = str(status.get("reason") or "Unknown")
    message = str(status.get("message") or body[:300].decode("utf-8", "replace"))
    delay = float(retry_after) if retry_after and retry_after.isdigit() else None
    return ApiError(code, reason, message, delay)


class Api:
    """Calls one API server as one user."""

    def __init__(self, http: httpx2.AsyncClient, streams: httpx2.AsyncClient, authority: str = "") -> None:
        self._http = http
        self._streams = streams
        self.authority = authority
        """The CA certificate of the API server, as PEM; empty where the kubeconfig names none."""

    @classmethod
    def from_kubeconfig(cls, path: Path, *, user_agent: str = "fabula-local") -> "Api":
        """A client for the current context of a kubeconfig file."""
        config = KubeConfig.from_file(path).get()
        if config is None:
            raise ValueError(f"{path} has no current context: set one with kubectl config use-context")
        params = ConnectionParams(timeout=httpx2.Timeout(30.0), trust_env=False).httpx_params(config)
        headers = {"User-Agent": user_agent}
        limits = httpx2.Limits(max_connections=32, max_keepalive_connections=32)
        http = httpx2.AsyncClient(**{**params, "limits": limits, "headers": headers})
        # Every watched kind holds a connection for minutes: a pool of its own, without a bound, which no call searches.
        unbounded = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        streams = httpx2.AsyncClient(**{**params, "limits": unbounded, "headers": headers})
        cluster = config.cluster
        if cluster.certificate_auth_data:
            return cls(http, streams, base64.b64decode(cluster.certificate_auth_data).decode())
        if cluster.certificate_auth:
            return cls(http, streams, Path(config.abs_file(cluster.certificate_auth)).read_text())
        return cls(http, streams)

    @property
    def base_url(self) -> httpx2.URL:
        """Address of the API server."""
        return self._http.base_url

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        await self._streams.aclose()

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
        """One call; the decoded answer. Raises ApiError for anything but success.

        Asked to come back later (429), it does so, at most five times.
        """
        content = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = content_type
        for attempt in range(6):
            answer = await self._http.request(method, path, content=content, params=dict(params or {}), headers=headers)
            if answer.status_code < 300:
                return orjson.loads(answer.content) if answer.content else None
            error = _error(answer.status_code, answer.content, answer.headers.get("Retry-After"))
            if error.code != 429 or attempt == 5:
                raise error
            await asyncio.sleep((error.retry_after or 1.0) * random.uniform(1.0, 1.2))  # noqa: S311
        raise AssertionError("unreachable")

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj:
        """The object; ApiError 404 if there is none."""
        found: Obj = await self.request("GET", kind.path(namespace, name))
        return found

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
        timeout = httpx2.Timeout(30.0, read=timeout_seconds + 30.0)
        headers = {"Accept": accept}
        async with self._streams.stream(
            "GET", kind.path(namespace), params=params, headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code >= 300:
                raise _error(answer.status_code, await answer.aread(), answer.headers.get("Retry-After"))
            pending = b""
            async for chunk in answer.aiter_bytes():
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
