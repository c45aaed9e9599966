"""Lists: selection, chunks from one consistent snapshot, and the forms a client may ask for."""

import base64
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fabula_local.apiserver.call import Call
from fabula_local.apiserver.conversion import from_storage
from fabula_local.apiserver.errors import bad_request, bad_version, continue_expired, invalid_options, version_too_large
from fabula_local.apiserver.registry import storage_key
from fabula_local.apiserver.representation import Form, as_table, encode, partial_list
from fabula_local.apiserver.selectors import Selector, selector_of
from fabula_local.apiserver.store import Store, Stored
from fabula_local.resource import Resource
from fabula_local.schema.errors import FieldError, forbidden, not_supported

Object = dict[str, Any]

_SNAPSHOT_SECONDS = 300.0
_SNAPSHOTS = 64
_MATCH = "resourceVersionMatch"


@dataclass(slots=True)
class _Snapshot:
    revision: int
    rest: list[Stored]
    until: float
    counted: bool


def _option_rules(query: Mapping[str, str]) -> Iterator[FieldError]:
    """ValidateListOptions, for what is no watch."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if "sendInitialEvents" in query:
        yield forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if not match:
        return
    if not version:
        yield forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if query.get("continue"):
        yield forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided")
    if match not in ("Exact", "NotOlderThan"):
        yield not_supported(_MATCH, match, ["Exact", "NotOlderThan", ""])
    if match == "Exact" and version == "0":
        yield forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')


class Lister:
    """Answers list requests; keeps the rest of chunked lists for a while, as etcd keeps old revisions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()
        self._serial = 0

    def answer(self, call: Call, resource: Resource, form: Form) -> bytes:
        """The encoded list."""
        limit = call.number("limit") or 0
        token = call.query.get("continue", "")
        if wrong := list(_option_rules(call.query)):
            raise invalid_options("ListOptions", *wrong)
        if token:
            snapshot = self._resume(token)
        else:
            self._check_version(call)
            selector = selector_of(resource, call.query.get("labelSelector", ""), call.query.get("fieldSelector", ""))
            objects = select(self._store, resource, call.info.namespace, selector)
            snapshot = _Snapshot(self._store.revision, objects, 0.0, counted=not selector)
        items, metadata = snapshot.rest, {"resourceVersion": str(snapshot.revision)}
        if 0 < limit < len(items):
            rest = items[limit:]
            items = items[:limit]
            metadata["continue"] = self._keep(snapshot, rest)
            if snapshot.counted:
                metadata["remainingItemCount"] = len(rest)  # type: ignore[assignment]
        return _encoded(resource, items, metadata, form)

    def _check_version(self, call: Call) -> None:
        version, match = call.query.get("resourceVersion", ""), call.query.get("resourceVersionMatch", "")
        if not version or version == "0":
            return
        if not version.isdigit():
            raise bad_version(version)
        if int(version) > self._store.revision:
            raise version_too_large(int(version), self._store.revision)
        if match == "Exact" and int(version) != self._store.revision:
            raise continue_expired()

    def _keep(self, snapshot: _Snapshot, rest: list[Stored]) -> str:
        now = time.monotonic()
        for key in [key for key, kept in self._snapshots.items() if kept.until < now]:
            del self._snapshots[key]
        while len(self._snapshots) >= _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        self._serial += 1
        key = f"{snapshot.revision}.{self._serial}.{id(self)}"
        self._snapshots[key] = _Snapshot(snapshot.revision, rest, now + _SNAPSHOT_SECONDS, snapshot.counted)
        last = f"{rest[0].namespace}/{rest[0].name}"
        token = {"v": "meta.k8s.io/v1", "rv": snapshot.revision, "start": last, "snapshot": key}
        return base64.urlsafe_b64encode(orjson.dumps(token)).decode()

    def _resume(self, token: str) -> _Snapshot:
        try:
            read = orjson.loads(base64.urlsafe_b64decode(token))
            key = str(read["snapshot"])
        except (ValueError, KeyError, TypeError):
            raise bad_request("continue key is not valid: malformed token") from None
        snapshot = self._snapshots.get(key)
        if snapshot is None or snapshot.until < time.monotonic():
            raise continue_expired()
        return snapshot


def select(store: Store, resource: Resource, namespace: str, selector: Selector) -> list[Stored]:
    """The stored objects of a kind in a namespace ("" for all) that are selected."""
    objects = store.all(storage_key(resource), namespace or None)
    if not selector:
        return list(objects)
    return [stored for stored in objects if selector.matches(stored.obj)]


def _encoded(resource: Resource, items: list[Stored], metadata: Object, form: Form) -> bytes:
    if form.plain and (not items or all(item.obj["apiVersion"] == resource.api_version for item in items)):
        head = orjson.dumps({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(_bodies(resource, items)) + b"]}"
    objects = [from_storage(resource, item.copy()) for item in items]
    if form.shape == "Table":
        return encode(as_table(resource, objects, form, metadata), form)
    if form.shape == "PartialObjectMetadata":
        return encode(partial_list(objects, metadata), form)
    document = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": objects}
    return encode(document, form)


def _bodies(resource: Resource, items: list[Stored]) -> list[bytes]:
    if resource.custom:
        return [item.raw for item in items]
    # Items of built-in lists carry no kind and apiVersion of their own.
    prefix = orjson.dumps({"kind": resource.kind, "apiVersion": resource.api_version})[:-1] + b","
    return [b"{" + item.raw[len(prefix) :] if item.raw.startswith(prefix) else item.raw for item in items]
