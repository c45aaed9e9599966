"""The PyTorchJob controller (kubeflow.org/v1): observes, asks the planner, and carries the plan out."""

from fabula_local import timestamps
from fabula_local.client import ApiError
from fabula_local.controllers.controller import Key, ParentController
from fabula_local.controllers.job_pods import owned
from fabula_local.controllers.pytorchjob_plan import PyTorchJobPlan, plan_pytorchjob
from fabula_local.controllers.pytorchjob_pods import PREFIX, pod_name, render_pod, render_service, replicas
from fabula_local.kinds import POD, PYTORCH_JOB, SERVICE, Obj, controller_of, uid_of

RETRY_SECONDS = 0.5


class PyTorchJobController(ParentController):
    """Runs PyTorchJobs without elastic policies."""

    name = "pytorchjob"
    kind = PYTORCH_JOB
    child = POD

    async def reconcile(self, key: Key) -> float | None:
        job = self.caches.of(PYTORCH_JOB).get(*key)
        if job is None:
            return None
        if job["spec"].get("elasticPolicy"):
            message = "elasticPolicy is not served by this cluster's PyTorchJob controller; remove it"
            self._events.record(job, PYTORCH_JOB, "Warning", "NotImplemented", message)
            return None
        cached = [
            pod
            for (namespace, _), pod in self.caches.of(POD).store.items()
            if namespace == key[0] and (controller_of(pod) or {}).get("uid") == uid_of(job)
        ]
        plan = plan_pytorchjob(job, cached, timestamps.now())
        if plan.create or plan.delete:
            # Decide again on a live look: the cache may be behind.
            live = await self.api.find(PYTORCH_JOB, key[1], key[0])
            if live is None or uid_of(live) != uid_of(job):
                return 0.5
            job = live
            pods, _ = await self.api.list(POD, key[0], labels=f"{PREFIX}/job-name={key[1]}")
            plan = plan_pytorchjob(job, owned(job, pods), timestamps.now())
        return await self._execute(job, plan)

    async def _execute(self, job: Obj, plan: PyTorchJobPlan) -> float | None:
        meta = job["metadata"]
        again = plan.again_seconds
        for pod in plan.delete:
            name = pod["metadata"]["name"]
            if await self.api.delete(POD, name, meta["namespace"], uid=uid_of(pod)):
                self._event(job, "Normal", "SuccessfulDeletePod", f"Deleted pod: {name}")
        # All Services first: a pod finds its master's name only if that exists when it starts.
        named = [await self._create_service(job, kind, index) for kind, index in plan.create]
        created = all(named) and all([await self._create_pod(job, kind, index) for kind, index in plan.create])
        if not created:
            again = RETRY_SECONDS if again is None else min(again, RETRY_SECONDS)
        if plan.status != (job.get("status") or {}):
            job = await self.api.replace(PYTORCH_JOB, {**job, "status": plan.status}, "status")
        if plan.delete_services:
            for kind, number in replicas(job).items():
                for index in range(number):
                    await self._delete_service(job, pod_name(job, kind, index))
        for notice in plan.notices:
            self._event(job, notice.type, notice.reason, notice.message)
        if plan.delete_job:
            await self.api.delete(
                PYTORCH_JOB, meta["name"], meta["namespace"], uid=uid_of(job), propagation="Background"
            )
        return again

    async def _create_service(self, job: Obj, kind: str, index: int) -> bool:
        """Create a replica's Service; False if one of an earlier life still holds the name, and will take it along."""
        name = pod_name(job, kind, index)
        try:
            await self.api.create(SERVICE, render_service(job, kind, index))
        except ApiError as error:
            if not error.already_exists:
                raise
            service = await self.api.find(SERVICE, name, job["metadata"]["namespace"])
            return service is not None and bool(owned(job, [service]))
        self._event(job, "Normal", "SuccessfulCreateService", f"Created service: {name}")
        return True

    async def _create_pod(self, job: Obj, kind: str, index: int) -> bool:
        """Create a replica's pod; False if one of an earlier life still holds the name."""
        try:
            await self.api.create(POD, render_pod(job, kind, index))
        except ApiError as error:
            if error.already_exists:
                return False
            self._event(job, "Warning", "FailedCreatePod", f"Error creating: {error.message}")
            raise
        self._event(job, "Normal", "SuccessfulCreatePod", f"Created pod: {pod_name(job, kind, index)}")
        return True

    async def _delete_service(self, job: Obj, name: str) -> None:
        service = await self.api.find(SERVICE, name, job["metadata"]["namespace"])
        if service is not None and owned(job, [service]) and "deletionTimestamp" not in service["metadata"]:
            await self.api.delete(SERVICE, name, job["metadata"]["namespace"], uid=uid_of(service))

    def _event(self, job: Obj, kind: str, reason: str, message: str) -> None:
        self._events.record(job, PYTORCH_JOB, kind, reason, message)
