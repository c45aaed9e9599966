"""The Deployment controller (apps/v1): one ReplicaSet for each template, rolled from the old to the new."""

from fabula_local import timestamps
from fabula_local.client import ApiError
from fabula_local.controllers.controller import Key, ParentController
from fabula_local.controllers.deployment_plan import REVISION, DeploymentPlan, plan_deployment
from fabula_local.controllers.replicaset import controlled_by
from fabula_local.kinds import DEPLOYMENT, REPLICA_SET, Obj, uid_of


class DeploymentController(ParentController):
    """Reconciles Deployments."""

    name = "deployment"
    kind = DEPLOYMENT
    child = REPLICA_SET

    async def reconcile(self, key: Key) -> float | None:
        deployment = self.caches.of(DEPLOYMENT).get(*key)
        if deployment is None or "deletionTimestamp" in deployment["metadata"]:
            return None
        sets = [replica_set for (where, _), replica_set in self.caches.of(REPLICA_SET).store.items() if where == key[0]]
        plan = plan_deployment(deployment, controlled_by(deployment, sets), timestamps.now())
        if plan.create or plan.scale or plan.delete:
            live = await self.api.find(DEPLOYMENT, key[1], key[0])
            if live is None or uid_of(live) != uid_of(deployment):
                return 0.5
            deployment = live
            sets, _ = await self.api.list(REPLICA_SET, key[0])
            plan = plan_deployment(deployment, controlled_by(deployment, sets), timestamps.now())
        await self._execute(deployment, plan)
        return None

    async def _execute(self, deployment: Obj, plan: DeploymentPlan) -> None:
        created: Obj | None = None
        if plan.create is not None:
            created = await self._create(plan.create)
        for replica_set, number in plan.scale:
            target = created if replica_set is plan.create and created is not None else replica_set
            await self._scale(deployment, target, number)
        for replica_set in plan.delete:
            meta = replica_set["metadata"]
            await self.api.delete(REPLICA_SET, meta["name"], meta["namespace"], uid=meta["uid"])
        if plan.status != (deployment.get("status") or {}):
            deployment = await self.api.replace(DEPLOYMENT, {**deployment, "status": plan.status}, "status")
        await self._write_revision(deployment, created)

    async def _create(self, wanted: Obj) -> Obj:
        try:
            return await self.api.create(REPLICA_SET, wanted)
        except ApiError as error:
            if not error.already_exists:
                raise
            meta = wanted["metadata"]
            return await self.api.get(REPLICA_SET, meta["name"], meta["namespace"])

    async def _scale(self, deployment: Obj, replica_set: Obj, number: int) -> None:
        meta = replica_set["metadata"]
        before = int(replica_set["spec"].get("replicas", 1))
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "spec": {"replicas": number}}
        await self.api.patch(REPLICA_SET, meta["name"], meta["namespace"], patch)
        direction = "up" if number > before else "down"
        message = f"Scaled {direction} replica set {meta['name']} from {before} to {number}"
        self._events.record(deployment, DEPLOYMENT, "Normal", "ScalingReplicaSet", message)

    async def _write_revision(self, deployment: Obj, created: Obj | None) -> None:
        """The Deployment carries the revision of its newest ReplicaSet, for `kubectl rollout history`."""
        if created is None:
            return
        revision = created["metadata"]["annotations"][REVISION]
        meta = deployment["metadata"]
        if (meta.get("annotations") or {}).get(REVISION) != revision:
            patch = {"metadata": {"annotations": {REVISION: revision}}}
            await self.api.patch(DEPLOYMENT, meta["name"], meta["namespace"], patch)
