"""The garbage controller: dependents go when their owners are gone; foreground and orphan deletion are carried out."""

import asyncio
import logging
from functools import partial

from fabula_kube.work_queue import WorkQueue
from fabula_local.client import METADATA, METADATA_LIST, Api, ApiError
from fabula_local.controllers.discovery import discover
from fabula_local.controllers.garbage_graph import Graph, Item, item_of, judge
from fabula_local.kinds import CRD, Kind, Obj, key_of
from fabula_local.reflector import Caches, Reflector

log = logging.getLogger("fabula.local.garbage")

IGNORED = {("", "events"), ("events.k8s.io", "events")}
WORKERS = 4
DISCOVERY_PAUSE_SECONDS = 0.5
"""CRDs come in bunches: wait for the last one."""


class GarbageController:
    """Watches the metadata of every kind and follows owner references."""

    name = "garbage"

    def __init__(self, api: Api, caches: Caches) -> None:
        self._api = api
        self._caches = caches
        self._graph = Graph()
        self._queue: WorkQueue[str] = WorkQueue()
        self._reflectors: dict[Kind, tuple[Reflector, asyncio.Task[None]]] = {}
        self._definitions_changed = asyncio.Event()

    async def run(self) -> None:
        """Collect until cancelled."""
        self._caches.of(CRD).on_change(lambda change, obj: self._definitions_changed.set())
        self._definitions_changed.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_definitions(), name="garbage-discovery")
                for number in range(WORKERS):
                    group.create_task(self._work(), name=f"garbage-{number}")
        finally:
            self._queue.close()
            for _, task in self._reflectors.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._reflectors.values()), return_exceptions=True)

    async def _follow_definitions(self) -> None:
        while True:
            await self._definitions_changed.wait()
            await asyncio.sleep(DISCOVERY_PAUSE_SECONDS)
            self._definitions_changed.clear()
            try:
                kinds = {kind for kind in await discover(self._api) if (kind.group, kind.plural) not in IGNORED}
            except (ApiError, OSError) as error:
                log.warning("discovery failed: %s", error)
                self._definitions_changed.set()
                continue
            for kind in kinds - set(self._reflectors):
                self._mirror(kind)
            for kind in set(self._reflectors) - kinds:
                _, task = self._reflectors.pop(kind)
                task.cancel()

    def _mirror(self, kind: Kind) -> None:
        reflector = Reflector(self._api, kind, accept=(METADATA_LIST, METADATA))
        reflector.on_change(partial(self._changed, kind))
        task = asyncio.create_task(reflector.run(), name=f"garbage-watch-{kind.plural}")
        self._reflectors[kind] = (reflector, task)

    def _changed(self, kind: Kind, change: str, obj: Obj) -> None:
        item = item_of(kind, obj)
        before = self._graph.items.get(item.uid)
        # An owner whose dependent has just been cut loose waits for exactly that.
        affected = {*(self._graph.affected_by(before) if before else ()), *self._graph.affected_by(item)}
        if change == "DELETED":
            self._graph.remove(item.uid)
        else:
            self._graph.put(item)
        for uid in affected:
            known = self._graph.items.get(uid)
            # Most objects have no owner and are not being deleted: nothing follows from them.
            if known is not None and (known.owners or known.waits_for_dependents or known.orphans_dependents):
                self._queue.add(uid)

    async def _work(self) -> None:
        while True:
            uid = await self._queue.get()
            failed = True
            try:
                item = self._graph.items.get(uid)
                if item is not None:
                    await self._settle(item)
                failed = False
            except ApiError as error:
                level = logging.DEBUG if error.conflict or error.not_found else logging.WARNING
                log.log(level, "garbage: %s", error)
            except OSError as error:
                log.info("garbage: API server not reached (%s)", type(error).__name__)
            except Exception:
                log.exception("garbage: uid %s failed", uid)
            finally:
                self._queue.done(uid, failed=failed)

    async def _settle(self, item: Item) -> None:
        if not all(reflector.synced.is_set() for reflector, _ in self._reflectors.values()):
            # A graph with holes would take owners for absent and foreground owners for free of dependents.
            self._queue.add_after(item.uid, 0.2)
            return
        verdict = judge(self._graph, item, await self._absent(item))
        for dependent in verdict.delete_dependents:
            policy = "Foreground" if self._graph.dependents_of(dependent.uid) else "Background"
            await self._delete(dependent, policy)
        for dependent in verdict.orphan_dependents:
            await self._drop_owners(dependent, frozenset({item.uid}))
        if verdict.drop_owners:
            await self._drop_owners(item, verdict.drop_owners)
        if verdict.drop_finalizer:
            await self._drop_finalizer(item, verdict.drop_finalizer)
        if verdict.delete:
            await self._delete(item, verdict.delete)

    async def _absent(self, item: Item) -> frozenset[str]:
        """The owners that really do not exist: what the graph does not know is asked for."""
        absent = set()
        for owner in item.owners:
            if owner["uid"] in self._graph.items:
                continue
            kind = self._kind_of(owner)
            if kind is None:
                # Its kind is unknown, perhaps for a moment only: nothing can be said about the owner.
                self._definitions_changed.set()
                self._queue.add_after(item.uid, 5.0)
                continue
            live = await self._api.find(kind, owner["name"], item.namespace if kind.namespaced else None)
            if live is None or live["metadata"]["uid"] != owner["uid"]:
                absent.add(owner["uid"])
        return frozenset(absent)

    def _kind_of(self, owner: Obj) -> Kind | None:
        group = owner["apiVersion"].rpartition("/")[0]
        return next((kind for kind in self._reflectors if kind.group == group and kind.kind == owner["kind"]), None)

    async def _delete(self, item: Item, policy: str) -> None:
        gone = await self._api.delete(item.kind, item.name, item.namespace or None, uid=item.uid, propagation=policy)
        if gone:
            log.info("deleted %s %s/%s: its owners are gone or going", item.kind.kind, item.namespace, item.name)

    async def _drop_owners(self, item: Item, uids: frozenset[str]) -> None:
        live = await self._live(item)
        if live is None:
            return
        left = [owner for owner in live["metadata"].get("ownerReferences") or () if owner["uid"] not in uids]
        await self._patch(item, live, {"ownerReferences": left or None})

    async def _drop_finalizer(self, item: Item, name: str) -> None:
        live = await self._live(item)
        if live is None or name not in (live["metadata"].get("finalizers") or ()):
            return
        left = [entry for entry in live["metadata"]["finalizers"] if entry != name]
        await self._patch(item, live, {"finalizers": left or None})

    async def _live(self, item: Item) -> Obj | None:
        live = await self._api.find(item.kind, item.name, item.namespace or None)
        return live if live is not None and live["metadata"]["uid"] == item.uid else None

    async def _patch(self, item: Item, live: Obj, change: Obj) -> None:
        meta = {"uid": item.uid, "resourceVersion": live["metadata"]["resourceVersion"], **change}
        namespace, name = key_of(live)
        await self._api.patch(item.kind, name, namespace or None, {"metadata": meta})
