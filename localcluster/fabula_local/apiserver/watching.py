"""Watches: a stream of changes from a resourceVersion on, as one object sees them through a selector.

A watch reads the kind's history at its own pace; one that falls behind the history is closed, and its client lists
anew, as with a real server.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from fabula_local.apiserver.call import Call
from fabula_local.apiserver.conversion import from_storage
from fabula_local.apiserver.errors import bad_version, expired, invalid_options
from fabula_local.apiserver.listing import select
from fabula_local.apiserver.registry import storage_key
from fabula_local.apiserver.representation import Form, encode, shaped
from fabula_local.apiserver.selectors import Selector, selector_of
from fabula_local.apiserver.store import Change, Store, Stored
from fabula_local.resource import Resource
from fabula_local.schema.errors import forbidden

Object = dict[str, Any]

_BOOKMARK_SECONDS = 30.0
_INITIAL_END = "k8s.io/initial-events-end"
_MIN_TIMEOUT_SECONDS = 1800


@dataclass(frozen=True)
class WatchRequest:
    """What a watch asks."""

    resource: Resource
    namespace: str
    selector: Selector
    form: Form
    start: int | None
    """Revision after which changes are told; None begins with the present state."""
    bookmarks: bool
    initial_end: bool
    timeout_seconds: float


def watch_request(call: Call, resource: Resource, form: Form) -> WatchRequest:
    """Read and check the parameters of a watch."""
    query = call.query
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        raise bad_version(version)
    streaming = "sendInitialEvents" in query
    match = query.get("resourceVersionMatch", "")
    if match and not streaming:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise invalid_options("ListOptions", forbidden("resourceVersionMatch", why))
    if streaming and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise invalid_options("ListOptions", forbidden("resourceVersionMatch", why))
    initial = call.flag("sendInitialEvents") if streaming else version in ("", "0")
    fields = query.get("fieldSelector", "")
    if call.info.name:
        fields = f"metadata.name={call.info.name}" + (f",{fields}" if fields else "")
    timeout = call.number("timeoutSeconds")
    return WatchRequest(
        resource=resource,
        namespace=call.info.namespace,
        selector=selector_of(resource, query.get("labelSelector", ""), fields),
        form=form,
        start=None if initial else int(version or "0") or None,
        bookmarks=call.flag("allowWatchBookmarks"),
        initial_end=streaming and initial,
        timeout_seconds=float(timeout or _MIN_TIMEOUT_SECONDS * (1 + random.random())),  # noqa: S311  jitter
    )


async def watch(store: Store, asked: WatchRequest, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Encoded watch frames, until the time is over, the history is outrun, or `ended` says so."""
    history = store.history(storage_key(asked.resource))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + asked.timeout_seconds
    next_bookmark = loop.time() + _BOOKMARK_SECONDS
    cursor = store.revision if asked.start is None else asked.start
    if cursor < history.floor and asked.start is not None:
        yield encode({"type": "ERROR", "object": expired(cursor, history.floor).status()}) + b"\n"
        return
    waiter = history.follow()
    try:
        if asked.start is None:
            objects = select(store, asked.resource, asked.namespace, asked.selector)
            for begin in range(0, len(objects), 500):
                yield b"".join(_frame(asked, "ADDED", item) for item in objects[begin : begin + 500])
            if asked.initial_end:
                yield _bookmark(asked, cursor, {_INITIAL_END: "true"})
        while not ended():
            waiter.clear()
            if cursor < history.floor:
                return
            changes = history.since(cursor)
            current = store.revision
            frames = b"".join(filter(None, (_seen(asked, change) for change in changes)))
            cursor = max(cursor, current)
            if frames:
                yield frames
                if history.since(cursor):
                    continue
            now = loop.time()
            if now >= deadline:
                return
            if asked.bookmarks and now >= next_bookmark:
                next_bookmark = now + _BOOKMARK_SECONDS
                yield _bookmark(asked, cursor, None)
                continue
            pause = min(deadline, next_bookmark if asked.bookmarks else deadline) - now
            try:
                async with asyncio.timeout(pause):
                    await waiter.wait()
            except TimeoutError:
                continue
    finally:
        history.unfollow(waiter)


def _seen(asked: WatchRequest, change: Change) -> bytes | None:
    """The frame for a change as this watch sees it; leaving the selection is a deletion, entering it an addition."""
    if asked.namespace and change.now.namespace != asked.namespace:
        return None
    if not asked.selector:
        return _frame(asked, change.type, change.now, change)
    before = change.before is not None and asked.selector.matches(change.before.obj)
    after = change.type != "DELETED" and asked.selector.matches(change.now.obj)
    if before and after:
        return _frame(asked, "MODIFIED", change.now, change)
    if after:
        return _frame(asked, "ADDED", change.now, change)
    if not before or change.before is None:
        return None
    if change.type == "DELETED":
        return _frame(asked, "DELETED", change.now, change)
    last = change.before.copy()
    last["metadata"]["resourceVersion"] = str(change.revision)
    gone = Stored(change.now.namespace, change.now.name, change.revision, last, orjson.dumps(last))
    return _frame(asked, "DELETED", gone)


def _frame(asked: WatchRequest, kind: str, stored: Stored, change: Change | None = None) -> bytes:
    resource = asked.resource
    if not asked.form.plain or stored.obj["apiVersion"] != resource.api_version:
        obj = shaped(from_storage(resource, stored.copy()), resource, asked.form)
        return orjson.dumps({"type": kind, "object": obj}) + b"\n"
    if change is not None and (kept := change.frames.get(kind)):
        return kept
    frame = b'{"type":"' + kind.encode() + b'","object":' + stored.raw + b"}\n"
    if change is not None:
        change.frames[kind] = frame
    return frame


def _bookmark(asked: WatchRequest, revision: int, annotations: dict[str, str] | None) -> bytes:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    obj: Object = {"kind": asked.resource.kind, "apiVersion": asked.resource.api_version, "metadata": metadata}
    if asked.form.shape == "Table":
        obj = {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": [],
            "rows": [],
        }
    elif asked.form.shape == "PartialObjectMetadata":
        obj = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"
