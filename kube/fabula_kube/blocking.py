"""Calls one after the other, for a command that has nothing else to do meanwhile. Threads may share a client."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3
from kubernetes.client import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject

from fabula_kube.connection import REQUEST_SECONDS, NoAnswer
from fabula_kube.credentials import Credentials
from fabula_kube.errors import error_of
from fabula_kube.resource import Obj, Resource

PAGE = 500
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
"""JSON is YAML."""


class Client:
    """Calls one server as one user."""

    def __init__(self, credentials: Credentials, agent: str) -> None:
        """`agent` names the caller to the server, also as the manager of the fields that it writes."""
        self.credentials = credentials
        self._agent = agent
        configuration = credentials.fill(Configuration())
        # Who asks for a person says at once that nobody answers.
        configuration.retries = urllib3.Retry(0)
        self._rest: Any = RESTClientObject(configuration)
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Any:
        """One call and its decoded answer. Raises ApiError, NoAnswer."""
        answer = self._send(method, path, body, params or {}, content_type, REQUEST_SECONDS)
        try:
            content = answer.data
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(str(error)) from error
        return orjson.loads(content) if content else None

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        """The object. Raises ApiError, 404 where there is none."""
        obj: Obj = self.request("GET", resource.path(namespace, name))
        return obj

    def list(self, resource: Resource, namespace: str | None, labels: str | None = None) -> list[Obj]:
        """All objects, of one namespace or of all, with apiVersion and kind filled in."""
        params = {"limit": str(PAGE), **({"labelSelector": labels} if labels else {})}
        objects: list[Obj] = []
        while True:
            page = self.request("GET", resource.path(namespace), params=params)
            for item in page.get("items") or ():
                objects.append({"apiVersion": resource.api_version, "kind": resource.kind} | item)
            if not (token := page["metadata"].get("continue")):
                return objects
            params["continue"] = token

    def review(self, resource: Resource, namespace: str | None, spec: Obj) -> Obj:
        """Ask one of the kinds that store nothing; the answer."""
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        answer: Obj = self.request("POST", resource.path(namespace), body=body)
        return answer

    def create(self, resource: Resource, obj: Obj) -> Obj:
        """Make an object; it, as it is stored. A field that the server does not know is refused, not dropped."""
        path = resource.path(obj["metadata"].get("namespace"))
        stored: Obj = self.request(
            "POST", path, body=obj, params={"fieldManager": self._agent, "fieldValidation": "Strict"}
        )
        return stored

    def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object; what it owns follows."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self.request("DELETE", resource.path(namespace, name), body=body)

    def patch(self, resource: Resource, namespace: str | None, name: str, patch: Obj) -> Obj:
        """Apply a JSON merge patch; the object."""
        return self._patch(resource, namespace, name, patch, MERGE_PATCH, {})

    def apply(self, resource: Resource, obj: Obj) -> Obj:
        """Server-side apply, also of fields that others manage; the object."""
        meta = obj["metadata"]
        return self._patch(resource, meta.get("namespace"), meta["name"], obj, APPLY, {"force": "true"})

    def _patch(
        self, resource: Resource, namespace: str | None, name: str, body: Obj, content_type: str, more: dict[str, str]
    ) -> Obj:
        params = {"fieldManager": self._agent, **more}
        path = resource.path(namespace, name)
        stored: Obj = self.request("PATCH", path, body=body, params=params, content_type=content_type)
        return stored

    def lines(self, path: str, params: Mapping[str, str]) -> Iterator[str]:
        """The lines of a text as they come, for as long as it takes. Raises ApiError, NoAnswer."""
        answer = self._send("GET", path, None, params, JSON, None)
        rest = b""
        try:
            for chunk in answer.stream(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(str(error)) from error
        if rest:
            yield rest.decode("utf-8", "replace")

    def _send(
        self, method: str, path: str, body: Any, params: Mapping[str, str], content_type: str, silence: float | None
    ) -> Any:
        self.credentials.freshen()
        answer = self._once(method, path, body, params, content_type, silence)
        used = self.credentials.authorization
        if answer.status == 401 and used is not None:
            self.credentials.renew()
            if self.credentials.authorization != used:
                answer = self._once(method, path, body, params, content_type, silence)
        if answer.status >= 300:
            raise error_of(answer.status, answer.headers, answer.data)
        return answer

    def _once(
        self, method: str, path: str, body: Any, params: Mapping[str, str], content_type: str, silence: float | None
    ) -> Any:
        headers = {"Accept": JSON, "Content-Type": content_type, "User-Agent": self._agent}
        if (signed := self.credentials.authorization) is not None:
            headers["Authorization"] = signed
        url = f"{self.credentials.server}{quote(path)}{'?' + urlencode(params) if params else ''}"
        try:
            timeout = (REQUEST_SECONDS, silence)
            return self._rest.request(method, url, headers, body, _request_timeout=timeout).response
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise NoAnswer(f"{self.credentials.server}: {_in_short(error)}") from error


def _in_short(error: BaseException) -> str:
    """What the network says of a call that got no answer, without what urllib3 and the client put around it: connection
    refused, a name that is not known, a certificate that is not trusted."""
    while (inner := getattr(error, "reason", None) or error.__cause__) is not None and isinstance(inner, BaseException):
        error = inner
    words = str(getattr(error, "strerror", None) or error).strip()
    return words.rpartition(": ")[2] if isinstance(error, urllib3.exceptions.HTTPError) else words
