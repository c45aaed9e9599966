"""Empties namespaces that are being deleted. Only for API servers without a controller-manager."""

import asyncio

from fabula_local.client import METADATA_LIST
from fabula_local.controllers.controller import Controller, Key
from fabula_local.controllers.discovery import discover
from fabula_local.kinds import NAMESPACE, Kind, Obj, uid_of

FINALIZER = "kubernetes"
RETRY_SECONDS = 0.5


class NamespaceController(Controller):
    """Reconciles namespaces that have a deletionTimestamp."""

    name = "namespace"
    workers = 1

    def subscribe(self) -> None:
        self.caches.of(NAMESPACE).on_change(self.enqueue)

    async def reconcile(self, key: Key) -> float | None:
        namespace = self.caches.of(NAMESPACE).get(*key)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return None
        if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return None
        kinds = [kind for kind in await discover(self.api) if kind.namespaced]
        left = await asyncio.gather(*(self._empty(kind, key[1]) for kind in kinds))
        if any(left):
            return RETRY_SECONDS
        live = await self.api.get(NAMESPACE, key[1])
        live["spec"]["finalizers"] = [name for name in live["spec"].get("finalizers") or () if name != FINALIZER]
        await self.api.replace(NAMESPACE, live, "finalize")
        return None

    async def _empty(self, kind: Kind, namespace: str) -> int:
        items, _ = await self.api.list(kind, namespace, accept=METADATA_LIST)
        for item in items:
            if "deletionTimestamp" not in item["metadata"]:
                await self._delete(kind, namespace, item)
        return len(items)

    async def _delete(self, kind: Kind, namespace: str, item: Obj) -> None:
        await self.api.delete(kind, item["metadata"]["name"], namespace, uid=uid_of(item), propagation="Background")
