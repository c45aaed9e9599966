"""The loop that every controller shares: changes become keys, keys are reconciled one at a time."""

import asyncio
import logging
from abc import ABC, abstractmethod

from fabula_kube.work_queue import WorkQueue
from fabula_local.client import Api, ApiError
from fabula_local.events import EventRecorder
from fabula_local.kinds import Kind, Obj, controller_of, key_of
from fabula_local.reflector import Caches

log = logging.getLogger("fabula.local.controller")

Key = tuple[str, str]
"""(namespace, name)."""


class Controller(ABC):
    """Reconciles objects of one kind, named by (namespace, name)."""

    name: str
    workers = 4

    def __init__(self, api: Api, caches: Caches) -> None:
        self.api = api
        self.caches = caches
        self.queue: WorkQueue[Key] = WorkQueue()

    @abstractmethod
    def subscribe(self) -> None:
        """Connect the caches to the queue."""

    @abstractmethod
    async def reconcile(self, key: Key) -> float | None:
        """Bring one object towards what it asks for; seconds after which to look again, or None."""

    def enqueue(self, change: str, obj: Obj) -> None:
        """Handler: the object itself changed."""
        self.queue.add(key_of(obj))

    def enqueue_controller(self, kind: Kind) -> "OwnerHandler":
        """Handler: an object changed whose controller is of `kind`."""
        return OwnerHandler(self.queue, kind)

    async def run(self) -> None:
        """Work until cancelled."""
        self.subscribe()
        await self.caches.synced()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(), name=f"{self.name}-{number}")
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            failed = True
            try:
                again = await self.reconcile(key)
                failed = False
                if again is not None:
                    self.queue.add_after(key, max(again, 0.01))
            except ApiError as error:
                # A conflict only says that the cache was behind; the change that explains it is on its way.
                level = logging.DEBUG if error.conflict or error.not_found else logging.WARNING
                log.log(level, "%s %s/%s: %s", self.name, *key, error)
            except OSError as error:
                log.info("%s %s/%s: API server not reached (%s)", self.name, *key, type(error).__name__)
            except Exception:
                log.exception("%s %s/%s failed", self.name, *key)
            finally:
                self.queue.done(key, failed=failed)


class ParentController(Controller):
    """Reconciles objects of one kind through the children that they control, and tells of it in events."""

    kind: Kind
    child: Kind

    def __init__(self, api: Api, caches: Caches) -> None:
        super().__init__(api, caches)
        self._events = EventRecorder(api, f"{self.name}-controller")

    def subscribe(self) -> None:
        self.caches.of(self.kind).on_change(self.enqueue)
        self.caches.of(self.child).on_change(self.enqueue_controller(self.kind))

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self._events.close()


class OwnerHandler:
    """Turns a change of an object into the key of its controller."""

    def __init__(self, queue: WorkQueue[Key], kind: Kind) -> None:
        self._queue = queue
        self._kind = kind

    def __call__(self, change: str, obj: Obj) -> None:
        owner = controller_of(obj)
        if owner and owner["kind"] == self._kind.kind and owner["apiVersion"].split("/")[0] == self._kind.group:
            self._queue.add((obj["metadata"].get("namespace", ""), owner["name"]))
