"""The ReplicaSet controller (apps/v1): as many pods of one template as asked for."""

import copy
import random

from fabula_local import timestamps
from fabula_local.client import Api, ApiError
from fabula_local.controllers import pods as podinfo
from fabula_local.controllers.controller import Key, ParentController
from fabula_local.controllers.job_pods import owned, suffix
from fabula_local.kinds import POD, REPLICA_SET, Obj, controller_of, controller_reference, uid_of
from fabula_local.reflector import Caches

STEM_LIMIT = 57


def available(pod: Obj, min_ready_seconds: int) -> bool:
    """Whether a pod is ready, and has been for that long."""
    if not podinfo.ready(pod):
        return False
    since = podinfo.ready_since(pod)
    return since is not None and (timestamps.now() - since).total_seconds() >= min_ready_seconds


def surplus(pods: list[Obj], number: int) -> list[Obj]:
    """The pods to end first: those that run least."""

    def rank(pod: Obj) -> tuple[bool, bool, str]:
        return (
            bool(pod["spec"].get("nodeName")),
            podinfo.ready(pod),
            # Of equals the youngest goes first.
            "".join(chr(255 - ord(letter)) for letter in pod["metadata"].get("creationTimestamp", "")),
        )

    return sorted(pods, key=rank)[:number]


def render_pod(owner: Obj, source: random.Random) -> Obj:
    """The next pod of a ReplicaSet."""
    template = copy.deepcopy(owner["spec"]["template"])
    meta = template.get("metadata") or {}
    stem = owner["metadata"]["name"][:STEM_LIMIT]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{stem}-{suffix(source)}",
            "generateName": f"{stem}-",
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [controller_reference(owner, REPLICA_SET)],
        },
        "spec": template["spec"],
    }


def render_status(owner: Obj, active: list[Obj]) -> Obj:
    """The counts that a ReplicaSet reports."""
    wait = int(owner["spec"].get("minReadySeconds", 0))
    labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    counts = {
        "fullyLabeledReplicas": sum(labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in active),
        "readyReplicas": sum(podinfo.ready(pod) for pod in active),
        "availableReplicas": sum(available(pod, wait) for pod in active),
    }
    status = {name: number for name, number in counts.items() if number}
    return {**status, "replicas": len(active), "observedGeneration": owner["metadata"].get("generation", 0)}


class ReplicaSetController(ParentController):
    """Keeps the number of pods right."""

    name = "replicaset"
    kind = REPLICA_SET
    child = POD

    def __init__(self, api: Api, caches: Caches) -> None:
        super().__init__(api, caches)
        self._random = random.Random()  # noqa: S311 - names, not secrets

    async def reconcile(self, key: Key) -> float | None:
        owner = self.caches.of(REPLICA_SET).get(*key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            return None
        wanted = int(owner["spec"].get("replicas", 1))
        active = self._active(owner, [pod for (where, _), pod in self.caches.of(POD).store.items() if where == key[0]])
        if len(active) != wanted:
            live = await self.api.find(REPLICA_SET, key[1], key[0])
            if live is None or uid_of(live) != uid_of(owner):
                return 0.5
            owner, wanted = live, int(live["spec"].get("replicas", 1))
            pods, _ = await self.api.list(POD, key[0])
            active = self._active(owner, pods)
            await self._scale(owner, active, wanted)
        status = render_status(owner, active)
        old = {name: value for name, value in (owner.get("status") or {}).items() if name in status or value}
        if status != {name: value for name, value in old.items() if name not in ("conditions", "terminatingReplicas")}:
            await self.api.replace(REPLICA_SET, {**owner, "status": status}, "status")
        waiting = status.get("readyReplicas", 0) > status.get("availableReplicas", 0)
        return 1.0 if waiting else None

    @staticmethod
    def _active(owner: Obj, pods: list[Obj]) -> list[Obj]:
        return [pod for pod in owned(owner, pods) if not podinfo.deleting(pod) and not podinfo.finished(pod)]

    async def _scale(self, owner: Obj, active: list[Obj], wanted: int) -> None:
        for pod in surplus(active, len(active) - wanted) if len(active) > wanted else ():
            meta = pod["metadata"]
            await self.api.delete(POD, meta["name"], meta["namespace"], uid=meta["uid"])
            self._event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}")
        for _ in range(wanted - len(active)):
            pod = render_pod(owner, self._random)
            try:
                active.append(await self.api.create(POD, pod))
            except ApiError as error:
                self._event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
                raise
            self._event(owner, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _event(self, owner: Obj, kind: str, reason: str, message: str) -> None:
        self._events.record(owner, REPLICA_SET, kind, reason, message)


def controlled_by(owner: Obj, objects: list[Obj]) -> list[Obj]:
    """Those objects that `owner` controls."""
    return [obj for obj in objects if (controller_of(obj) or {}).get("uid") == uid_of(owner)]
