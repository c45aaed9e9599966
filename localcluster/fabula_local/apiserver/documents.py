"""Everything below the root that is no resource: discovery, OpenAPI, health and version."""

from collections.abc import Callable
from typing import Any

from fabula_local.apiserver import discovery
from fabula_local.apiserver.registry import Registry
from fabula_local.apiserver.representation import encode
from fabula_local.schema.openapi import openapi_v3_group, openapi_v3_paths

_HEALTH = ("healthz", "livez", "readyz")
_V2_PROTOBUF_MARK = "proto-openapi.spec.v2"
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# kubectl asks for v2 as protobuf only, and only for kinds that v3 does not have; a document without kinds lets it say
# what is missing. It holds: swagger "2.0", info {title "Kubernetes", version "v1.37.0"}, no paths.
_V2_EMPTY = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.37.0\x42\x00"
_AGGREGATED = ("as=apigroupdiscoverylist", "v=v2", "g=apidiscovery.k8s.io")


class Documents:
    """Makes each document once for each state of the registry."""

    def __init__(self, registry: Registry, address: str) -> None:
        self._registry = registry
        self._address = address
        self._made: dict[str, tuple[int, bytes]] = {}

    def find(self, path: str, accept: str) -> tuple[str, bytes] | None:
        """Media type and body for a path, or None where there is nothing."""
        parts = [part for part in path.split("/") if part]
        if parts and parts[0] in _HEALTH:
            return "text/plain; charset=utf-8", b"ok"
        if parts == ["openapi", "v2"] and _V2_PROTOBUF_MARK in accept and "application/json" not in accept:
            return _V2_PROTOBUF, _V2_EMPTY
        maker = self._maker(parts, accept)
        if maker is None:
            return None
        media = (
            discovery.AGGREGATED if _wants_aggregated(accept) and parts in (["api"], ["apis"]) else "application/json"
        )
        body = self._cached(f"{media} {path}", maker)
        return (media, body) if body != b"null" else None

    def _maker(self, parts: list[str], accept: str) -> Callable[[], Any] | None:
        registry = self._registry
        match parts:
            case ["version"]:
                return lambda: discovery.VERSION
            case ["api"] if _wants_aggregated(accept):
                return lambda: discovery.aggregated(registry, core=True)
            case ["apis"] if _wants_aggregated(accept):
                return lambda: discovery.aggregated(registry, core=False)
            case ["api"]:
                return lambda: discovery.api_versions(self._address)
            case ["apis"]:
                return lambda: discovery.group_list(registry)
            case ["api", version]:
                return lambda: discovery.resource_list(registry, "", version)
            case ["apis", group]:
                return lambda: discovery.group(registry, group)
            case ["apis", group, version]:
                return lambda: discovery.resource_list(registry, group, version)
            case ["openapi", "v3"]:
                return lambda: openapi_v3_paths(registry.all())
            case ["openapi", "v3", "api", version]:
                return lambda: self._group_document("", version)
            case ["openapi", "v3", "apis", group, version]:
                return lambda: self._group_document(group, version)
        return None

    def _group_document(self, group: str, version: str) -> Any:
        if version not in self._registry.groups().get(group, ()):
            return None
        return openapi_v3_group(self._registry.all(), group, version)

    def _cached(self, key: str, make: Callable[[], Any]) -> bytes:
        known = self._made.get(key)
        if known is None or known[0] != self._registry.generation:
            known = self._made[key] = (self._registry.generation, encode(make()))
        return known[1]


def _wants_aggregated(accept: str) -> bool:
    first = accept.replace(" ", "").lower().split(",")[0]
    return all(part in first.split(";") for part in _AGGREGATED)
