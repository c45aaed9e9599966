"""Requests and limits of a container. Rules: pkg/apis/core/validation of Kubernetes, ValidateResourceRequirements."""

from collections.abc import Iterator, Mapping
from typing import Any

from fabula_kube.quantity import parse_quantity
from fabula_local.apiserver.names import qualified_error
from fabula_local.apiserver.strategies.rules.numbers import nonnegative_quantity
from fabula_local.schema.errors import FieldError, invalid, required

_HUGE_PAGES = "hugepages-"
_OF_CONTAINERS = ("cpu", "memory", "ephemeral-storage")


def resource_rules(resources: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    """Known names, no negative amounts, no request above its limit, and none without a limit where none is shared."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, amount in limits.items():
        yield from _amount(name, amount, f"{path}.limits[{name}]")
    for name, amount in requests.items():
        yield from _amount(name, amount, f"{path}.requests[{name}]")
        limit = limits.get(name)
        if limit is None:
            if not _shareable(name):
                yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
            continue
        asked, most = parse_quantity(amount), parse_quantity(limit)
        if asked != most and not _shareable(name):
            yield invalid(f"{path}.requests", str(amount), f"must be equal to {name} limit of {limit}")
        elif asked > most:
            yield invalid(f"{path}.requests", str(amount), f"must be less than or equal to {name} limit of {limit}")


def _amount(name: str, amount: Any, path: str) -> Iterator[FieldError]:
    if why := qualified_error(name):
        yield invalid(path, name, why)
    elif "/" not in name and not (name in _OF_CONTAINERS or name.startswith(_HUGE_PAGES)):
        yield invalid(path, name, "must be a standard resource for containers")
    yield from nonnegative_quantity(amount, path)
    if not _native(name) and parse_quantity(amount) % 1:
        yield invalid(path, str(amount), "must be an integer")


def _native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _shareable(name: str) -> bool:
    """IsOvercommitAllowed: whether containers may be promised more of it than there is."""
    return _native(name) and not name.startswith(_HUGE_PAGES)
