"""A local copy of one collection, kept by list and watch.

Controllers read the copy and are told which object changed; the copy may be stale, never torn.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from .client import Api, ApiError
from .kinds import Kind, Obj, key_of, uid_of

log = logging.getLogger("fabula.local.reflector")

Handler = Callable[[str, Obj], None]
"""Called with ADDED, MODIFIED or DELETED and the object; must not block."""

FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 15.0


class Reflector:
    """Mirror of one kind, of all namespaces or one."""

    def __init__(
        self,
        api: Api,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        accept: tuple[str, str] = ("application/json", "application/json"),
    ) -> None:
        self.kind = kind
        self.store: dict[tuple[str, str], Obj] = {}
        self.synced = asyncio.Event()
        """Set after the first complete list."""
        self._api = api
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._list_accept, self._watch_accept = accept
        self._handlers: list[Handler] = []

    def on_change(self, handler: Handler) -> None:
        """Call `handler` for every change, and once for each object already known."""
        self._handlers.append(handler)
        for obj in list(self.store.values()):
            handler("ADDED", obj)

    def get(self, namespace: str, name: str) -> Obj | None:
        """The object as last seen."""
        return self.store.get((namespace, name))

    async def run(self) -> None:
        """Mirror until cancelled; every failure is retried with growing pauses."""
        retry = FIRST_RETRY_SECONDS
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist()
                    self.synced.set()
                started = time.monotonic()
                async for change, obj in self._api.watch(
                    self.kind,
                    self._namespace,
                    resource_version=version,
                    labels=self._labels,
                    fields=self._fields,
                    accept=self._watch_accept,
                    timeout_seconds=random.randint(240, 300),  # noqa: S311
                ):
                    version = obj["metadata"]["resourceVersion"]
                    retry = FIRST_RETRY_SECONDS
                    if change != "BOOKMARK":
                        self._apply(change, obj)
                # A server that ends watches at once is not asked again at once.
                if time.monotonic() - started > 5:
                    continue
            except ApiError as error:
                if error.gone:
                    version = ""
                    continue
                log.warning("watching %s failed: %s", self.kind.plural, error)
                # A server that forgot the kind, or forbids it, has nothing to resume from.
                version = ""
            except OSError as error:
                log.info("watch of %s was cut (%s); connecting again", self.kind.plural, type(error).__name__)
            await asyncio.sleep(retry * random.uniform(0.8, 1.2))  # noqa: S311
            retry = min(retry * 2, LAST_RETRY_SECONDS)

    async def _relist(self) -> str:
        items, version = await self._api.list(
            self.kind, self._namespace, labels=self._labels, fields=self._fields, accept=self._list_accept
        )
        listed = {key_of(item): item for item in items}
        for key, old in list(self.store.items()):
            new = listed.get(key)
            if new is None or uid_of(new) != uid_of(old):
                self._apply("DELETED", old)
        for obj in items:
            self._apply("MODIFIED" if key_of(obj) in self.store else "ADDED", obj)
        return version

    def _apply(self, change: str, obj: Obj) -> None:
        key = key_of(obj)
        if change == "DELETED":
            self.store.pop(key, None)
        else:
            known = self.store.get(key)
            if known is not None and known["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]:
                return
            self.store[key] = obj
        for handler in self._handlers:
            handler(change, obj)


class Caches:
    """One reflector for each kind, shared by all controllers of a process."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._reflectors: dict[Kind, Reflector] = {}
        self._tasks: dict[Kind, asyncio.Task[None]] = {}

    def of(self, kind: Kind) -> Reflector:
        """The mirror of a kind; started at once, so it needs a running loop."""
        if kind not in self._reflectors:
            self._reflectors[kind] = Reflector(self.api, kind)
            self._tasks[kind] = asyncio.create_task(self._reflectors[kind].run(), name=f"reflector-{kind.plural}")
        return self._reflectors[kind]

    async def synced(self) -> None:
        """Wait until every mirror has listed once."""
        for reflector in list(self._reflectors.values()):
            await reflector.synced.wait()

    async def close(self) -> None:
        """End all watches."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._reflectors.clear()
