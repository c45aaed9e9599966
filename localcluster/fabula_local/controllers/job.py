"""The Job controller (batch/v1): observes, asks the planner, and carries the plan out."""

import logging
import random
from datetime import datetime

from fabula_local import timestamps
from fabula_local.client import Api, ApiError
from fabula_local.kinds import JOB, POD, Obj, controller_of, key_of, uid_of
from fabula_local.reflector import Caches

from .controller import Key, ParentController
from .job_plan import JobPlan, plan_job
from .job_pods import FINALIZER, owned, render_pod, selector, tracked

log = logging.getLogger("fabula.local.job")

OWN_NAME = "kubernetes.io/job-controller"


class JobController(ParentController):
    """Runs Jobs as Kubernetes documents them."""

    name = "job"
    kind = JOB
    child = POD

    def __init__(self, api: Api, caches: Caches, *, backoff_seconds: float = 10.0) -> None:
        super().__init__(api, caches)
        self._backoff_seconds = backoff_seconds
        self._random = random.Random()  # noqa: S311
        self._released: dict[Key, set[str]] = {}
        """Job -> uids of pods whose finalizer is gone, though the cache may not know it yet."""

    async def reconcile(self, key: Key) -> float | None:
        job = self.caches.of(JOB).get(*key)
        if job is None:
            self._released.pop(key, None)
            await self._release_orphans(key)
            return None
        if job["spec"].get("managedBy", OWN_NAME) != OWN_NAME:
            return None
        pods = self._cached_pods(job)
        plan = self._plan(job, pods, timestamps.now())
        if plan.create or plan.drop or plan.delete:
            # The cache may be behind: pods are only made and ended on a live look, or an index could get two of them.
            live = await self.api.find(JOB, key[1], key[0])
            if live is None or uid_of(live) != uid_of(job):
                return 0.5
            job = live
            listed, _ = await self.api.list(POD, key[0], labels=selector(job))
            plan = self._plan(job, owned(job, listed), timestamps.now())
        return await self._execute(job, plan)

    def _cached_pods(self, job: Obj) -> list[Obj]:
        namespace = job["metadata"]["namespace"]
        label = job["metadata"]["name"]
        pods = [
            pod
            for (where, _), pod in self.caches.of(POD).store.items()
            if where == namespace and (pod["metadata"].get("labels") or {}).get("job-name") == label
        ]
        return owned(job, pods)

    def _plan(self, job: Obj, pods: list[Obj], now: datetime) -> JobPlan:
        released = self._released.get(key_of(job), set())
        return plan_job(job, pods, now, released=released, backoff_seconds=self._backoff_seconds)

    async def _execute(self, job: Obj, plan: JobPlan) -> float | None:
        for pod in plan.drop:
            await self._release(job, pod)
            await self._delete(job, pod)
        for pod in plan.delete:
            await self._delete(job, pod)
        for new in plan.create:
            pod = render_pod(job, new.index, self._random, failures=new.failures, ignored=new.ignored)
            try:
                await self.api.create(POD, pod)
            except ApiError as error:
                self._events.record(job, JOB, "Warning", "FailedCreate", f"Error creating: {error.message}")
                raise
            self._events.record(job, JOB, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        if plan.status != (job.get("status") or {}):
            job = await self.api.replace(JOB, {**job, "status": plan.status}, "status")
        for pod in plan.release:
            await self._release(job, pod)
        for notice in plan.notices:
            self._events.record(job, JOB, notice.type, notice.reason, notice.message)
        if plan.delete_job:
            meta = job["metadata"]
            await self.api.delete(JOB, meta["name"], meta["namespace"], uid=uid_of(job), propagation="Foreground")
        return plan.again_seconds

    async def _delete(self, job: Obj, pod: Obj) -> None:
        meta = pod["metadata"]
        if await self.api.delete(POD, meta["name"], meta["namespace"], uid=uid_of(pod)):
            self._events.record(job, JOB, "Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}")

    async def _release(self, job: Obj, pod: Obj) -> None:
        """Remove the tracking finalizer, and remember that it is gone."""
        if await remove_finalizer(self.api, pod):
            self._released.setdefault(key_of(job), set()).add(uid_of(pod))

    async def _release_orphans(self, key: Key) -> None:
        """Let go of the pods of a Job that is gone; without this their finalizer would keep them forever."""
        for (namespace, _), pod in list(self.caches.of(POD).store.items()):
            owner = controller_of(pod)
            if namespace != key[0] or not tracked(pod) or owner is None or owner["kind"] != "Job":
                continue
            if owner["name"] != key[1]:
                continue
            live = await self.api.find(JOB, key[1], key[0])
            if live is None or uid_of(live) != owner["uid"]:
                await remove_finalizer(self.api, pod)


async def remove_finalizer(api: Api, pod: Obj) -> bool:
    """Take the Job tracking finalizer off a pod; True once it is gone, whoever removed it."""
    meta = pod["metadata"]
    if not tracked(pod):
        return True
    left = [name for name in meta["finalizers"] if name != FINALIZER]
    patch = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "finalizers": left or None}}
    try:
        await api.patch(POD, meta["name"], meta["namespace"], patch)
    except ApiError as error:
        if error.not_found:
            return True
        if not error.conflict:
            raise
        live = await api.find(POD, meta["name"], meta["namespace"])
        if live is None or uid_of(live) != meta["uid"]:
            return True
        return await remove_finalizer(api, live)
    return True
