"""Binds pending pods to this node where no scheduler does, and says why one cannot run."""

import asyncio
import logging

from fabula_local import timestamps
from fabula_local.client import Api, ApiError
from fabula_local.controllers.conditions import find_condition, with_condition
from fabula_local.events import EventRecorder
from fabula_local.kinds import NODE, POD, Obj, key_of, uid_of
from fabula_local.node.scheduling import Resources, obstacles, unschedulable_message, used
from fabula_local.reflector import Caches

log = logging.getLogger("fabula.local.binder")

SCHEDULER = "default-scheduler"
RETRY_SECONDS = 5.0


class Binder:
    """Looks at all unbound pods whenever a pod or node changes, oldest and most urgent first."""

    def __init__(self, api: Api, caches: Caches, node_name: str, events: EventRecorder) -> None:
        self._api = api
        self._pods = caches.of(POD)
        self._nodes = caches.of(NODE)
        self._name = node_name
        self._events = events
        self._wake = asyncio.Event()
        self._bound: dict[str, Obj] = {}
        """Pods bound a moment ago, by uid, which the cache still shows unbound."""

    async def run(self) -> None:
        """Bind until cancelled."""
        for source in (self._pods, self._nodes):
            source.on_change(lambda change, obj: self._wake.set())
            await source.synced.wait()
        while True:
            self._wake.clear()
            retry = False
            for pod in self._pending():
                try:
                    await self._place(pod)
                except (ApiError, OSError) as error:
                    log.info("binding pod %s/%s: %s", *key_of(pod), error)
                    retry = True
            try:
                async with asyncio.timeout(RETRY_SECONDS if retry else None):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _pending(self) -> list[Obj]:
        pods = list(self._pods.store.values())
        for pod in pods:
            if pod["spec"].get("nodeName"):
                self._bound.pop(uid_of(pod), None)
        for uid in set(self._bound) - {uid_of(pod) for pod in pods}:
            del self._bound[uid]
        waiting = [
            pod
            for pod in pods
            if not pod["spec"].get("nodeName")
            and uid_of(pod) not in self._bound
            and "deletionTimestamp" not in pod["metadata"]
            and pod["spec"].get("schedulerName", SCHEDULER) == SCHEDULER
            and not pod["spec"].get("schedulingGates")
            and (pod.get("status") or {}).get("phase", "Pending") == "Pending"
        ]
        return sorted(
            waiting,
            key=lambda pod: (-int(pod["spec"].get("priority") or 0), pod["metadata"]["creationTimestamp"], key_of(pod)),
        )

    async def _place(self, pod: Obj) -> None:
        nodes = sorted(self._nodes.store.values(), key=key_of)
        pods = [*self._pods.store.values(), *self._bound.values()]
        reasons = {node["metadata"]["name"]: obstacles(pod, node, self._used(pods, node)) for node in nodes}
        if self._name not in reasons:
            return
        if not reasons[self._name]:
            await self._bind(pod)
        elif all(reasons.values()) and min(reasons) == self._name:
            await self._refuse(pod, unschedulable_message(list(reasons.values())))

    @staticmethod
    def _used(pods: list[Obj], node: Obj) -> Resources:
        return used(pods, node["metadata"]["name"])

    async def _bind(self, pod: Obj) -> None:
        namespace, name = key_of(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._name},
        }
        try:
            await self._api.request("POST", POD.path(namespace, name, "binding"), body=binding)
        except ApiError as error:
            # Another node was quicker, or the pod is gone: the watch will tell.
            if error.conflict or error.not_found:
                return
            raise
        self._bound[uid_of(pod)] = {**pod, "spec": {**pod["spec"], "nodeName": self._name}}
        message = f"Successfully assigned {namespace}/{name} to {self._name}"
        self._events.record(pod, POD, "Normal", "Scheduled", message)

    async def _refuse(self, pod: Obj, message: str) -> None:
        conditions = (pod.get("status") or {}).get("conditions") or []
        before = find_condition(conditions, "PodScheduled")
        if before and before["status"] == "False" and before.get("message") == message:
            return
        fresh = with_condition(conditions, "PodScheduled", "False", "Unschedulable", message, timestamps.now())
        meta = pod["metadata"]
        patch = {
            "metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
            "status": {"phase": "Pending", "conditions": fresh},
        }
        try:
            await self._api.patch(POD, meta["name"], meta["namespace"], patch, subresource="status")
        except ApiError as error:
            if error.conflict or error.not_found:
                return
            raise
        self._events.record(pod, POD, "Warning", "FailedScheduling", message)
