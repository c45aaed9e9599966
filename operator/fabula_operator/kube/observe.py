"""Live reads of one run: what plans that act are made from, and what heals a lost watch event."""

from __future__ import annotations

from collections.abc import Callable

from fabula_operator.kube.admission import Admissions
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import JOB, POD, PYTORCH_JOB, RUNS, Resource
from fabula_operator.plan.references import named_runs
from fabula_operator.render.names import RUN_UID


class Observer:
    """Reads a run with all that belongs to it from the API server into the cache."""

    def __init__(self, api: Api, cache: Cache) -> None:
        self._api = api
        self._cache = cache
        self.admissions = Admissions(api)
        self.pytorch_jobs = False
        """Whether the training operator's CRD is installed."""
        self.missed: Callable[[str], None] | None = None
        """Told the kind of each object of which a list knows more than the watch has told."""
        self._listed = False

    async def discover(self) -> bool:
        """Ask whether PyTorchJobs and Kueue's Workloads are served, and remember it."""
        groups = ((await self._api.get_path("/apis")) or {}).get("groups") or ()
        self.admissions.discovered(groups)
        self.pytorch_jobs = any(one["name"] == PYTORCH_JOB.group for one in groups) and await self._serves(PYTORCH_JOB)
        return self.pytorch_jobs

    async def _serves(self, resource: Resource) -> bool:
        found = await self._api.get_path(f"/apis/{resource.group}/{resource.version}")
        return resource.plural in {one["name"] for one in (found or {}).get("resources") or ()}

    async def run(self, key: Key) -> None:
        """Read the run, the runs it names, its children and pods."""
        if not await self._one(key):
            return
        obj = self._cache.get(key)
        if obj is None:
            return
        for kind, name in named_runs(key.kind, obj.get("spec") or {}):
            await self._one(Key(kind, key.namespace, name))
        uid = obj["metadata"]["uid"]
        # A resync reads a run that may be at work: what is created while the lists are on their way is not in them.
        before = self._cache.owned(uid)
        found = []
        # Pods last: a child that says it has failed, with pods from before that, would look as if it had lost them.
        for resource in (JOB, *((PYTORCH_JOB,) if self.pytorch_jobs else ()), POD):
            found += await self._api.list(resource, key.namespace, f"{RUN_UID}={uid}")
        self._cache.sync(before, found)

    async def _one(self, key: Key) -> bool:
        known = self._cache.get(key)
        obj = await self._api.get(RUNS[key.kind], key.namespace, key.name)
        if known is not None and (obj is None or obj["metadata"]["uid"] != known["metadata"]["uid"]):
            self._cache.drop(known)
        if obj is not None:
            self._cache.put(obj)
        return obj is not None

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
        self._listed = True
        waiting = self._cache.waiting()
        return changed | self._cache.admit(waiting, await self.admissions.told(namespace) if waiting else {})

    async def _all(self, resource: Resource, namespace: str | None, labels: str | None = None) -> set[Key]:
        changed: set[Key] = set()
        # What is created while the pages are on their way is in none of them, and was not known before.
        missing = self._cache.uids(resource.kind)
        async for page in self._api.pages(resource, namespace, labels):
            for obj in page:
                missing.pop(obj["metadata"]["uid"], None)
                changed |= self._news(resource.kind, self._cache.put(obj))
        for obj in missing.values():
            changed |= self._news(resource.kind, self._cache.drop(obj))
        return changed

    def _news(self, kind: str, changed: set[Key]) -> set[Key]:
        if changed and self._listed and self.missed is not None:
            self.missed(kind)
        return changed
