"""Events about objects, as `kubectl describe` shows them; repeated ones are counted, not multiplied."""

import asyncio
import logging
import random
from collections import OrderedDict

from . import timestamps
from .client import Api, ApiError
from .kinds import EVENT, Kind, Obj, uid_of

log = logging.getLogger("fabula.local.events")

REMEMBERED = 1000
MESSAGE_BYTES = 1024


class EventRecorder:
    """Writes events in the name of one component, in the background and in order."""

    def __init__(self, api: Api, component: str, host: str = "") -> None:
        self._api = api
        self._component = component
        self._host = host
        self._known: OrderedDict[tuple[str, str, str, str], tuple[str, int]] = OrderedDict()
        self._pending: asyncio.Queue[tuple[Obj, Kind, str, str, str]] = asyncio.Queue(maxsize=1000)
        self._task: asyncio.Task[None] | None = None

    def record(self, obj: Obj, kind: Kind, event_type: str, reason: str, message: str) -> None:
        """Say something about an object. Dropped with a log line if a thousand are waiting."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"events-{self._component}")
        try:
            self._pending.put_nowait((obj, kind, event_type, reason, message[:MESSAGE_BYTES]))
        except asyncio.QueueFull:
            log.warning("event dropped: %s %s", reason, message)

    async def close(self) -> None:
        """Write what waits, for at most two seconds, and stop."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._pending.join()
        except TimeoutError:
            log.warning("%d events were not written", self._pending.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        while True:
            entry = await self._pending.get()
            try:
                await self._write(*entry)
            except (ApiError, OSError) as error:
                # The namespace may be on its way out; an event is never worth a retry.
                log.debug("event %s not written: %s", entry[3], error)
            finally:
                self._pending.task_done()

    async def _write(self, obj: Obj, kind: Kind, event_type: str, reason: str, message: str) -> None:
        meta = obj["metadata"]
        moment = timestamps.rfc3339(timestamps.now())
        namespace = meta.get("namespace") or "default"
        key = (uid_of(obj), event_type, reason, message)
        if key in self._known:
            name, count = self._known[key]
            self._known.move_to_end(key)
            try:
                await self._api.patch(EVENT, name, namespace, {"count": count + 1, "lastTimestamp": moment})
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                self._known[key] = (name, count + 1)
                return
        name = f"{meta['name']}.{random.getrandbits(64):016x}"
        involved = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        if meta.get("namespace"):
            involved["namespace"] = meta["namespace"]
        source = {"component": self._component, **({"host": self._host} if self._host else {})}
        event = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "type": event_type,
            "reason": reason,
            "message": message,
            "source": source,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
        }
        await self._api.create(EVENT, event)
        self._known[key] = (name, 1)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
