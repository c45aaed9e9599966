"""Live reads of one run: what plans that act are made from, and what heals a lost watch event."""

from __future__ import annotations

from fabula_operator.kube.admission import Admissions
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api
from fabula_operator.kube.resources import JOB, POD, PYTORCH_JOB, RUNS
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

    async def discover(self) -> bool:
        """Ask whether PyTorchJobs are served, and remember it."""
        found = await self._api.get_path(f"/apis/{PYTORCH_JOB.group}/{PYTORCH_JOB.version}")
        names = {one["name"] for one in (found or {}).get("resources") or ()}
        self.pytorch_jobs = PYTORCH_JOB.plural in names
        await self.admissions.discover()
        return self.pytorch_jobs

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
        self._cache.admit(uid, await self.admissions.of(key.namespace, found))

    async def _one(self, key: Key) -> bool:
        known = self._cache.get(key)
        obj = await self._api.get(RUNS[key.kind], key.namespace, key.name)
        if known is not None and (obj is None or obj["metadata"]["uid"] != known["metadata"]["uid"]):
            self._cache.drop(known)
        if obj is not None:
            self._cache.put(obj)
        return obj is not None

    async def all_runs(self, namespace: str | None) -> list[Key]:
        """Read all runs of all kinds; what is not among them any more is dropped. Returns them and the dropped ones."""
        there: set[Key] = set()
        for kind, resource in RUNS.items():
            for obj in await self._api.list(resource, namespace):
                self._cache.put(obj)
                there.add(Key(kind, obj["metadata"]["namespace"], obj["metadata"]["name"]))  # type: ignore[arg-type]
        gone = [key for key in self._cache.keys() if key not in there]  # noqa: SIM118 - a method, no dict
        return [*there, *gone]
