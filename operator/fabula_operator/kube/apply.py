"""Carries a plan out: events, then status, then actions. Each step may be repeated after a crash at any point.

The status is written before the actions and only onto the version the plan was made from, so a plan made from a stale
view stops there.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from fabula_api.outside import camel_reason, plain
from fabula_api.status import RunStatus
from fabula_operator.kube.authority import Authority
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api, ApiError
from fabula_operator.kube.lease import NotLeading
from fabula_operator.kube.merge_patch import merge_patch
from fabula_operator.kube.resources import CHILDREN, EVENT, RUNS, SERVICE, Obj
from fabula_operator.plan.actions import Action, DeleteChild, DeleteRun, EnsureChild, Notice, Plan, SuspendChild
from fabula_operator.plan.seen.api_objects import Child, controller_uid
from fabula_operator.plan.seen.observed import read_status
from fabula_operator.plan.times import timestamp
from fabula_operator.render import Launch, WorkerSettings, manifest, ranks_service
from fabula_operator.render.names import RUN_UID, shortened

logger = logging.getLogger(__name__)


class NameTaken(Exception):
    """A child's name is held by an object of another run, most often a deleted one that is not gone yet."""


class ChildRefused(Exception):
    """The API server will not have a child as it is: a quota, an admission rule, a missing right."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class StatusRefused(Exception):
    """A planned status that no API server takes: what a worker said went into it and has no place there."""


def suspension(kind: str, *, suspend: bool) -> Obj:
    """The change of a child's spec that stops its pods, or lets it make them again."""
    if kind != "PyTorchJob":
        return {"suspend": suspend}
    # One that is over is asked for its cleanPodPolicy alone: Running stops what is left, and keeps what has ended.
    return {"runPolicy": {"suspend": suspend, **({"cleanPodPolicy": "Running"} if suspend else {})}}


def _valid(status: RunStatus) -> Obj:
    """The status on the wire. Raises StatusRefused where its own model does not take it back."""
    try:
        wire: Obj = status.to_wire()
        type(status).model_validate(wire)
    except (ValueError, TypeError) as error:
        raise StatusRefused(type(error).__name__) from error
    return wire


def over(run: Obj) -> bool:
    """Whether a run has ended, as its status says."""
    return (run.get("status") or {}).get("state") in ("Succeeded", "Failed")


class Applier:
    """Writes what plans ask for."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        settings: WorkerSettings,
        status_ca_certificate: str,
        now: Callable[[], datetime],
        changed: Callable[[Key], object],
        instance: str = "fabula-operator",
    ) -> None:
        """`changed` is told of runs about which a write brought news, as the watch would tell of them later. Of the
        run that is written for, a status and a new child are none: they are what its plan asked for."""
        self._api = api
        self._cache = cache
        self._settings = settings
        self._authority = Authority(api, status_ca_certificate, cache.deletions.count, now)
        self._now = now
        self._changed = changed
        self._instance = instance
        self._sent: dict[str, tuple[str, Obj]] = {}
        """Run uid to (resourceVersion after our last status write, what was sent), where the answer differed."""

    async def apply(self, key: Key, plan: Plan, version: str) -> None:
        """Carry out a plan that was made from this version of the run, see `tell` and `act`."""
        await self.tell(key, plan, version)
        await self.act(key, plan)

    async def tell(self, key: Key, plan: Plan, version: str) -> None:
        """The first half: events, then the status. Raises ApiError, 409 when the run has changed since the plan."""
        obj = self._cache.get(key)
        if obj is None:
            return
        for notice in plan.notices:
            await self._emit(obj, notice)
        if plan.status is not None:
            await self.write_status(key, plan, version)

    async def act(self, key: Key, plan: Plan) -> None:
        """The second half: actions. Raises ApiError, NameTaken, ChildRefused."""
        obj = self._cache.get(key)
        if obj is None:
            return
        for action in plan.actions:
            await self._carry_out(key, obj, action)

    async def write_status(self, key: Key, plan: Plan, version: str) -> None:
        """Write the plan's status if it differs from the one that is there."""
        obj = self._cache.get(key)
        if obj is None or plan.status is None:
            return
        if obj["metadata"]["resourceVersion"] != version:
            raise ApiError(409, "Conflict", "the run has changed since the plan was made")
        if self.settled(key, plan.status):
            return
        old, new = obj.get("status") or {}, _valid(plan.status)
        meta = obj["metadata"]
        patch = {
            "metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
            "status": merge_patch(old, new),
        }
        try:
            stored = await self._api.patch(RUNS[key.kind], key.namespace, key.name, patch, "status")
        except ApiError as error:
            if error.code in (400, 413, 422):
                raise StatusRefused(f"{error.code} {error.reason}") from error
            raise
        self._tell(self._cache.wrote(meta["uid"], stored) - {key})
        self._sent.pop(meta["uid"], None)
        if stored.get("status") != new and read_status(key.kind, stored.get("status")).to_wire() != new:
            logger.error("%s %s/%s: the API server stored another status than was sent; update the CRDs", *key)
            self._sent[meta["uid"]] = (str(stored["metadata"]["resourceVersion"]), dict(new))

    def settled(self, key: Key, status: RunStatus) -> bool:
        """Whether that status is there, or was sent and not taken: sending it again would go on for ever."""
        obj = self._cache.get(key)
        if obj is None:
            return True
        wire = status.to_wire()
        sent = self._sent.get(obj["metadata"]["uid"])
        if sent is not None and sent == (str(obj["metadata"]["resourceVersion"]), wire):
            return True
        there = obj.get("status")
        return there == wire or read_status(key.kind, there).to_wire() == wire

    async def _carry_out(self, key: Key, obj: Obj, action: Action) -> None:
        match action:
            case EnsureChild(launch):
                await self._authority.ensure(key.namespace)
                await self._create(key, launch)
            case DeleteChild(child, why):
                logger.info("%s %s/%s: deleting %s %s: %s", *key, child.kind, child.name, why)
                left = await self._api.delete(CHILDREN[child.kind], key.namespace, child.name, child.uid)
                self._learn_child(obj, child, left)
            case SuspendChild(child, suspend):
                patch = {"metadata": {"uid": child.uid}, "spec": suspension(child.kind, suspend=suspend)}
                await self._patch_child(obj, child, patch)
            case DeleteRun():
                logger.info("%s %s/%s: deleting it, its ttl is over", *key)
                uid = obj["metadata"]["uid"]
                left = await self._api.delete(RUNS[key.kind], key.namespace, key.name, uid)
                self._tell(self._cache.drop(obj) if left is None else self._cache.wrote(uid, left))

    async def _create(self, key: Key, launch: Launch) -> None:
        resource = CHILDREN[launch.backend]
        namespace, name = launch.run.namespace, launch.child
        if launch.linked:
            await self._ensure_service(launch)
        try:
            stored = await self._api.create(resource, manifest(launch, self._settings))
            logger.info("%s %s/%s: created %s %s", launch.run.kind, namespace, launch.run.name, launch.backend, name)
        except ApiError as error:
            if error.code in (400, 403, 422):
                raise ChildRefused(f"{launch.backend} {name}: {error.message}") from error
            if error.reason != "AlreadyExists":
                raise
            holder = await self._api.get(resource, namespace, name)
            if holder is None or controller_uid(holder["metadata"]) != launch.run.uid:
                raise NameTaken(f"{launch.backend} {name} belongs to another object") from error
            if "deletionTimestamp" in holder["metadata"]:
                raise NameTaken(f"{launch.backend} {name} is being deleted") from error
            try:
                Child.from_object(holder)
            except ValueError as foreign:
                raise ChildRefused(f"{launch.backend} {name} is not as it was made: {foreign}; delete it") from error
            self._tell(self._cache.put(holder))
            return
        self._tell(self._cache.wrote(launch.run.uid, stored) - {key})

    async def _ensure_service(self, launch: Launch) -> None:
        """The pods' names must be there before the pods. The name holds the run's uid, so it is nobody else's."""
        try:
            await self._api.create(SERVICE, ranks_service(launch))
        except ApiError as error:
            if error.code in (400, 403, 422):
                raise ChildRefused(f"Service of {launch.child}: {error.message}") from error
            if error.reason != "AlreadyExists":
                raise

    async def _patch_child(self, run: Obj, child: Child, patch: Obj) -> None:
        resource, namespace = CHILDREN[child.kind], run["metadata"]["namespace"]
        stored: Obj | None
        try:
            stored = await self._api.patch(resource, namespace, child.name, patch)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            # It is gone, or another one has its name.
            stored = await self._api.get(resource, namespace, child.name)
        self._learn_child(run, child, stored)

    def _learn_child(self, run: Obj, child: Child, stored: Obj | None) -> None:
        """What is under a child's name after a write; the child itself is gone when that is nothing or another one."""
        if stored is not None:
            self._tell(self._cache.wrote(run["metadata"]["uid"], stored))
        if stored is None or stored["metadata"]["uid"] != child.uid:
            named = {"name": child.name, "namespace": run["metadata"]["namespace"], "uid": child.uid}
            labels = {RUN_UID: run["metadata"]["uid"]}
            self._tell(self._cache.drop({"kind": child.kind, "metadata": {**named, "labels": labels}}))

    def _tell(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._changed(key)

    def change_authority(self, certificate: str) -> None:
        """From now on new workers are told of this authority."""
        self._authority.change(certificate)

    async def publish_authority(self) -> dict[str, str]:
        """Tell workers of runs that are at work of the authority too; why that did not work, by namespace."""
        refused = {}
        unfinished = {obj["metadata"]["namespace"] for obj in self._cache.runs() if not over(obj)}
        for namespace in sorted(unfinished):
            try:
                await self._authority.ensure(namespace)
            except ApiError as error:
                refused[namespace] = str(error)
        return refused

    async def _emit(self, run: Obj, notice: Notice) -> None:
        """Create the event under a name that follows from what it says, so that it is there once."""
        meta = run["metadata"]
        mark = hashlib.sha256(f"{meta['uid']}/{notice.reason}/{notice.identity}".encode()).hexdigest()[:16]
        now = timestamp(self._now())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{shortened(meta['name'], 200)}.{mark}", "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": run["apiVersion"],
                "kind": run["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "type": notice.type,
            "reason": camel_reason(notice.reason),
            "message": plain(notice.message)[:1024],
            "source": {"component": "fabula-operator"},
            "reportingComponent": "fabula.dev/operator",
            "reportingInstance": self._instance[:128],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.create(EVENT, event)
        except NotLeading:
            raise
        except ApiError as error:
            if error.reason != "AlreadyExists":
                # An event is a courtesy; the status says the same.
                logger.warning("no event %s for %s/%s: %s", notice.reason, meta["namespace"], meta["name"], error)
