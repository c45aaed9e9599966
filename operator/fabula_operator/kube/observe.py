"""Reads: of what a plan rests on besides the cache, and of everything now and then, which heals lost watch events.

Whatever else a look wants to know of one child, such as its newest event, is asked here, by name or by field.
"""

from __future__ import annotations

from collections.abc import Callable

from fabula_operator.kube.admission import Admissions
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api
from fabula_operator.kube.own_writes import Written, comparable
from fabula_operator.kube.resources import CHILDREN, JOB, POD, PYTORCH_JOB, RUNS, Obj, Resource
from fabula_operator.plan.lifecycle.evidence import Evidence, expected_children
from fabula_operator.plan.seen.observed import Run
from fabula_operator.plan.stages.references import named_runs
from fabula_operator.render.names import RUN_UID


class Observer:
    """Reads from the API server into the cache."""

    def __init__(self, api: Api, cache: Cache) -> None:
        self._api = api
        self._cache = cache
        self.admissions = Admissions(api)
        self.pytorch_jobs = False
        """Whether the training operator's CRD is installed."""
        self.missed: Callable[[str], None] | None = None
        """Told the kind of each object of which a list knows more than the watch has told."""

    async def discover(self) -> bool:
        """Ask whether PyTorchJobs and Kueue's Workloads are served, and remember it."""
        if self._cache.comparable is None:
            self._cache.comparable = comparable(await self._api.get_path("/version"))
        groups = ((await self._api.get_path("/apis")) or {}).get("groups") or ()
        self.admissions.discovered(groups)
        self.pytorch_jobs = any(group["name"] == PYTORCH_JOB.group for group in groups) and await self._serves(
            PYTORCH_JOB
        )
        return self.pytorch_jobs

    async def _serves(self, resource: Resource) -> bool:
        document = await self._api.get_path(f"/apis/{resource.group}/{resource.version}")
        return resource.plural in {served["name"] for served in (document or {}).get("resources") or ()}

    async def confirm(self, key: Key, needed: Evidence) -> None:
        """Read what a plan for the run needs read by itself."""
        if needed.run:
            await self._read(key)
        obj = self._cache.get(key)
        if obj is None:
            return
        if needed.references:
            for kind, name in sorted(named_runs(key.kind, obj.get("spec") or {})):
                await self._read(Key(kind, key.namespace, name))
        if needed.pods:
            await self._children(key, obj)

    async def _children(self, key: Key, run: Obj) -> None:
        """Read the run's children by their names, those too that only its status tells of, and list its pods."""
        uid = run["metadata"]["uid"]
        known = [obj for obj in self._cache.owned(uid) if obj["kind"] in CHILDREN]
        names = {(child["kind"], child["metadata"]["name"]) for child in known}
        kinds = ("Job", "PyTorchJob") if self.pytorch_jobs else ("Job",)
        names |= {(kind, name) for name in expected_children(Run.from_object(run)) for kind in kinds}
        before = self._cache.owned(uid)
        children = [await self._api.get(CHILDREN[kind], key.namespace, name) for kind, name in sorted(names)]
        # Pods last: a child that says it has failed, with pods from before that, would look as if it had lost them.
        pods = await self._api.list(POD, key.namespace, f"{RUN_UID}={uid}")
        # What is created while the answers are on their way was not known before, and is in none of them.
        self._cache.sync(before, [*(child for child in children if child is not None), *pods])

    async def own_writes(self, key: Key, run: str) -> None:
        """Read by name what was written for a run and has not come back."""
        for kind, name in self._cache.own_writes.awaited(run):
            resource = RUNS.get(kind) or CHILDREN[kind]
            obj = await self._api.get(resource, key.namespace, name)
            self._cache.own_writes.read(run, Written(kind, name))
            if obj is not None:
                self._cache.put(obj)

    async def _read(self, key: Key) -> None:
        known = self._cache.get(key)
        obj = await self._api.get(RUNS[key.kind], key.namespace, key.name)
        if known is not None and (obj is None or obj["metadata"]["uid"] != known["metadata"]["uid"]):
            self._cache.drop(known)
        if obj is not None:
            self._cache.put(obj)

    async def everything(self, namespace: str | None) -> set[Key]:
        """List every kind once, a page at a time; the runs about which that brought news. Heals lost watch events.

        Runs come first and pods last, so that what is said of pods is never older than what is said of their child.
        """
        changed: set[Key] = set()
        for resource in RUNS.values():
            changed |= await self._all(resource, namespace)
        changed |= await self._all(JOB, namespace, RUN_UID)
        if self.pytorch_jobs:
            changed |= await self._all(PYTORCH_JOB, namespace, RUN_UID)
        changed |= await self._all(POD, namespace, RUN_UID)
        return changed | await self.admitted(namespace)

    async def admitted(self, namespace: str | None) -> set[Key]:
        """Ask Kueue about the children that wait in its queues, if there are any; the runs for which that is news."""
        waiting = self._cache.waiting()
        return self._cache.admit(waiting, await self.admissions.messages(namespace) if waiting else {})

    async def _all(self, resource: Resource, namespace: str | None, labels: str | None = None) -> set[Key]:
        changed: set[Key] = set()
        # What is created while the pages are on their way is in none of them, and was not known before.
        missing = self._cache.uids(resource.kind)
        async for page in self._api.pages(resource, namespace, labels):
            for obj in page:
                missing.pop(obj["metadata"]["uid"], None)
                changed |= self._news(resource.kind, self._cache.put(obj))
        for gone in missing.values():
            changed |= self._news(resource.kind, self._cache.drop(gone.read()))
        return changed

    def _news(self, kind: str, changed: set[Key]) -> set[Key]:
        if changed and self.missed is not None:
            self.missed(kind)
        return changed
