"""What an HTTP request asks of the API, read from its method and path as k8s.io/apiserver's RequestInfo does."""

from collections.abc import Mapping
from dataclasses import dataclass

_METHODS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = {"status", "finalize"}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request in the API's terms; authorization and routing read nothing else."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    """Path below the subresource, for proxies."""


def request_info(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Read the request; a path outside /api and /apis keeps the HTTP method, in lower case, as its verb."""
    parts = path.strip("/").split("/")
    plain = RequestInfo(method.lower(), path)
    if parts[0] == "api" and len(parts) >= 3:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return plain
    verb = _METHODS.get(method, method.lower())
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource = parts[0]
    name = parts[1] if len(parts) > 1 else ""
    if not name and verb == "get":
        verb = "watch" if query.get("watch") in ("true", "1") else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    return RequestInfo(
        verb=verb,
        path=path,
        is_resource=True,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        name=name,
        subresource=parts[2] if len(parts) > 2 else "",
        rest="/".join(parts[3:]),
    )
