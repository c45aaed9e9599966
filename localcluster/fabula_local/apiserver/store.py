"""The read model: every object in memory, and the last changes of each kind for watches to resume from.

All access is from one event loop and no method awaits, so each is atomic; every write goes through to the database
before anyone can see it. Objects handed out are shared: callers copy before they change one.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from fabula_local.apiserver.persistence import Database

Object = dict[str, Any]
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """One state of one object. Never changed; `copy()` gives one that may be."""

    namespace: str
    name: str
    revision: int
    obj: Object
    raw: bytes

    def copy(self) -> Object:
        """A fresh, private copy."""
        fresh: Object = orjson.loads(self.raw)
        return fresh


@dataclass(slots=True, eq=False)
class Change:
    """One write, as a watch tells it."""

    revision: int
    type: ChangeType
    now: Stored
    """The new state; for DELETED the last state, stamped with the revision of the deletion."""
    before: Stored | None
    frames: dict[str, bytes] = field(default_factory=dict)
    """Encoded watch frames, shared by the watches that send the same one."""


class History:
    """The latest changes of one kind, oldest first, and the wake-up for those who follow them."""

    def __init__(self, floor: int, length: int) -> None:
        self.floor = floor
        """A watch may start from this revision or a later one."""
        self.last = floor
        """Revision of the newest change."""
        self._length = length
        self._changes: list[Change] = []
        self._revisions: list[int] = []
        self._waiters: set[asyncio.Event] = set()

    def append(self, change: Change) -> None:
        """Record a change and wake the followers."""
        self.last = change.revision
        self._changes.append(change)
        self._revisions.append(change.revision)
        if len(self._changes) > 2 * self._length:
            cut = len(self._changes) - self._length
            self.floor = self._revisions[cut - 1]
            del self._changes[:cut]
            del self._revisions[:cut]
        for waiter in self._waiters:
            waiter.set()

    def since(self, revision: int) -> list[Change]:
        """Changes after this revision, which must not be below the floor."""
        return self._changes[bisect_right(self._revisions, revision) :]

    def follow(self, waiter: asyncio.Event | None = None) -> asyncio.Event:
        """An event (a new one, unless given) that is set on each change until `unfollow`."""
        waiter = waiter or asyncio.Event()
        self._waiters.add(waiter)
        return waiter

    def unfollow(self, waiter: asyncio.Event) -> None:
        """Stop waking this follower."""
        self._waiters.discard(waiter)

    def wake(self) -> None:
        """Wake every follower without a change, for instance because the server stops."""
        for waiter in self._waiters:
            waiter.set()


class Store:
    """Objects by kind key ("jobs.batch"), namespace ("" for cluster scope) and name."""

    def __init__(self, database: Database, history_length: int) -> None:
        self._database = database
        self._history_length = history_length
        self._objects: dict[str, dict[str, dict[str, Stored]]] = {}
        self._histories: dict[str, History] = {}
        self.revision = database.revision()
        self._start = self.revision
        self.listeners: list[Callable[[str, Change], None]] = []
        """Called with kind key and change, right after each write and before anyone else sees it."""
        for kind, namespace, name, revision, body in database.rows():
            stored = Stored(namespace, name, revision, orjson.loads(body), body)
            self._objects.setdefault(kind, {}).setdefault(namespace, {})[name] = stored

    def get(self, kind: str, namespace: str, name: str) -> Stored | None:
        """The object, or None."""
        return self._objects.get(kind, {}).get(namespace, {}).get(name)

    def all(self, kind: str, namespace: str | None = None) -> Iterator[Stored]:
        """Objects of a kind ordered by namespace and name, as etcd orders keys; None means every namespace."""
        spaces = self._objects.get(kind, {})
        for space in sorted(spaces) if namespace is None else (namespace,):
            names = spaces.get(space, {})
            yield from [names[name] for name in sorted(names)]

    def count(self, kind: str) -> int:
        """Number of objects of a kind."""
        return sum(len(names) for names in self._objects.get(kind, {}).values())

    def history(self, kind: str) -> History:
        """The changes of a kind."""
        history = self._histories.get(kind)
        if history is None:
            history = self._histories[kind] = History(self._start, self._history_length)
        return history

    def histories(self) -> list[History]:
        """Every history that has been asked for."""
        return list(self._histories.values())

    def put(self, kind: str, obj: Object) -> Stored:
        """Write the object under the next revision, which becomes its resourceVersion."""
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        before = self.get(kind, namespace, name)
        stored = self._stamp(obj)
        self._database.put(kind, namespace, name, stored.revision, stored.raw)
        self.revision = stored.revision
        self._objects.setdefault(kind, {}).setdefault(namespace, {})[name] = stored
        self._tell(kind, Change(stored.revision, "ADDED" if before is None else "MODIFIED", stored, before))
        return stored

    def delete(self, kind: str, obj: Object) -> Stored:
        """Remove the object; `obj` is its last state, told to watches."""
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        before = self._objects[kind][namespace][name]
        stored = self._stamp(obj)
        self._database.delete(kind, namespace, name, stored.revision)
        self.revision = stored.revision
        del self._objects[kind][namespace][name]
        self._tell(kind, Change(stored.revision, "DELETED", stored, before))
        return stored

    def _tell(self, kind: str, change: Change) -> None:
        self.history(kind).append(change)
        for listener in self.listeners:
            listener(kind, change)

    def _stamp(self, obj: Object) -> Stored:
        revision = self.revision + 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(revision)
        # Kind and version first, so that lists of built-in kinds can leave them out without decoding.
        obj = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], **obj}
        return Stored(metadata.get("namespace", ""), metadata["name"], revision, obj, orjson.dumps(obj))
