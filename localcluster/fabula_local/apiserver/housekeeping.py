"""What a cluster keeps in order by itself: namespaces and their default content, the end of namespaces and of kinds.

In Kubernetes these are controllers of kube-controller-manager and of the apiextensions server; no client can do
without them, so they live with the server.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from fabula_local.apiserver import metadata
from fabula_local.apiserver.auth.authentication import ADMIN
from fabula_local.apiserver.auth.bootstrap import bootstrap_objects
from fabula_local.apiserver.call import Call
from fabula_local.apiserver.deleting import delete
from fabula_local.apiserver.registry import storage_key
from fabula_local.apiserver.request import RequestInfo
from fabula_local.apiserver.store import Change, Stored
from fabula_local.apiserver.strategies.definitions import CLEANUP_FINALIZER
from fabula_local.apiserver.writing import Writer
from fabula_local.resource import Resource

Object = dict[str, Any]

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
_RBAC = "rbac.authorization.k8s.io"
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RETRY_SECONDS = 0.1
_EVENT_SWEEP_SECONDS = 60.0
_EVENT_TTL = timedelta(hours=1)


class Housekeeping:
    """Runs beside the server on the same store."""

    def __init__(self, writer: Writer, authority: bytes) -> None:
        self._writer = writer
        self._store = writer.store
        self._authority = authority.decode()
        self._work = asyncio.Event()

    def prepare(self) -> None:
        """Bring the store to what a fresh cluster holds, and follow changes from now on."""
        self._writer.registry.load(stored.obj for stored in self._store.all(DEFINITIONS))
        self._store.listeners.append(self._changed)
        for plural, obj in bootstrap_objects():
            self._ensure(_RBAC, "v1", plural, "", obj)
        for name in _NAMESPACES:
            self._ensure("", "v1", "namespaces", "", _new("Namespace", name))
        for stored in list(self._store.all("namespaces")):
            self._furnish(stored.name)
        self._work.set()

    async def run(self) -> None:
        """Empty what is being deleted, and let old events go, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_EVENT_SWEEP_SECONDS):
                    await self._work.wait()
            except TimeoutError:
                self._expire_events(datetime.now(UTC))
                continue
            self._work.clear()
            if self._sweep():
                await asyncio.sleep(_RETRY_SECONDS)
                self._work.set()

    def _expire_events(self, now: datetime) -> None:
        """Delete events an hour after they were last seen, as a cluster's event TTL does."""
        resource = self._writer.registry.find("", "v1", "events")
        assert resource is not None
        oldest = metadata.timestamp(now - _EVENT_TTL)
        for stored in list(self._store.all("events")):
            series = stored.obj.get("series") or {}
            seen = (
                series.get("lastObservedTime") or stored.obj.get("lastTimestamp") or stored.obj.get("eventTime"),
                stored.obj["metadata"]["creationTimestamp"],
            )
            if max(filter(None, seen)) < oldest:
                delete(self._writer, _system_call(), resource, stored, {})

    def _changed(self, kind: str, change: Change) -> None:
        if kind == DEFINITIONS:
            self._follow_definition(change)
        elif kind == "namespaces" and change.type == "ADDED":
            self._furnish(change.now.name)
        elif change.type == "DELETED" and change.now.name in ("default", "kube-root-ca.crt"):
            self._furnish(change.now.namespace)
        if change.now.obj["metadata"].get("deletionTimestamp") and kind in (DEFINITIONS, "namespaces"):
            self._work.set()

    def _follow_definition(self, change: Change) -> None:
        registry = self._writer.registry
        if change.type == "DELETED":
            registry.withdraw(change.now.name)
            for history in self._store.histories():
                history.wake()
        elif change.before is None or change.before.obj["spec"] != change.now.obj["spec"]:
            registry.define(change.now.obj)

    def _furnish(self, namespace: str) -> None:
        """The default account and the cluster's CA, as every namespace has them."""
        namespace_object = self._store.get("namespaces", "", namespace)
        if namespace_object is None or namespace_object.obj["metadata"].get("deletionTimestamp"):
            return
        self._ensure("", "v1", "serviceaccounts", namespace, _new("ServiceAccount", "default"))
        authority = _new("ConfigMap", "kube-root-ca.crt")
        authority["metadata"]["annotations"] = {
            "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when "
            "using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
            "guaranteed across distributions of Kubernetes clusters."
        }
        authority["data"] = {"ca.crt": self._authority}
        self._ensure("", "v1", "configmaps", namespace, authority)

    def _ensure(self, group: str, version: str, plural: str, namespace: str, obj: Object) -> None:
        resource = self._writer.registry.find(group, version, plural)
        assert resource is not None
        if self._store.get(storage_key(resource), namespace, obj["metadata"]["name"]) is None:
            self._writer.create(_system_call(), resource, namespace, obj)

    def _sweep(self) -> bool:
        """One pass over namespaces and definitions that are being deleted; whether any has to wait."""
        waiting = False
        for stored in list(self._store.all("namespaces")):
            if stored.obj["metadata"].get("deletionTimestamp"):
                waiting |= not self._end_namespace(stored)
        for stored in list(self._store.all(DEFINITIONS)):
            if stored.obj["metadata"].get("deletionTimestamp"):
                waiting |= not self._end_definition(stored)
        return waiting

    def _end_namespace(self, stored: Stored) -> bool:
        namespaced = [item for item in self._writer.registry.stored() if item.namespaced]
        left = [not self._empty(item, stored.name) for item in namespaced]
        if any(left):
            return False
        resource = self._writer.registry.find("", "v1", "namespaces")
        assert resource is not None
        obj = stored.copy()
        obj["spec"]["finalizers"] = []
        self._writer.save(_system_call(), resource, obj)
        return not obj["metadata"].get("finalizers")

    def _end_definition(self, stored: Stored) -> bool:
        obj = stored.copy()
        finalizers = obj["metadata"].get("finalizers") or []
        if CLEANUP_FINALIZER not in finalizers:
            return True
        spec = obj["spec"]
        kind = self._writer.registry.storage_version(spec["group"], spec["names"]["plural"])
        if kind is not None and not self._empty(kind, None):
            return False
        obj["metadata"]["finalizers"] = [name for name in finalizers if name != CLEANUP_FINALIZER]
        resource = self._writer.registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        assert resource is not None
        self._writer.save(_system_call(), resource, obj)
        return True

    def _empty(self, resource: Resource, namespace: str | None) -> bool:
        """Delete the objects of a kind; whether none is left."""
        kind = storage_key(resource)
        for stored in list(self._store.all(kind, namespace)):
            if not stored.obj["metadata"].get("deletionTimestamp"):
                delete(self._writer, _system_call(), resource, stored, {"propagationPolicy": "Background"})
        return next(self._store.all(kind, namespace), None) is None


def _new(kind: str, name: str) -> Object:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name}}


def _system_call() -> Call:
    headers = {"User-Agent": "kube-controller-manager"}
    return Call(RequestInfo("update", "/"), {}, headers, ADMIN)
