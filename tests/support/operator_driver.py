"""The operator without kopf, driven step by step: the same kube layer and reconciler, events in the test's hands."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml
from tests.support.in_blocks import in_blocks

from fabula_operator.handlers.reconcile import Reconciler, Sources
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.apply import Applier
from fabula_operator.kube.cache import Cache, Key
from fabula_operator.kube.client import Api, Write
from fabula_operator.kube.observe import Observer
from fabula_operator.kube.resources import JOB, POD, RUNS, Obj, Resource
from fabula_operator.kube.warnings import Warnings
from fabula_operator.plan.seen.observed import Environment
from fabula_operator.render import WorkerSettings

CRDS = Path(__file__).parents[2] / "crds"
CRD = Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
WORKERS = WorkerSettings(artifact_root="file:///artifacts", status_url="https://status.test:8443")
CERTIFICATE = "-----BEGIN CERTIFICATE-----\ntest\n-----END CERTIFICATE-----\n"


class Crashed(BaseException):
    """The operator died here. A BaseException, as nothing in the operator may survive it."""


@dataclass
class CrashGate:
    """Counts writes and dies at one of them, before or after it took place."""

    at: int | None = None
    after_write: bool = False
    writes: list[Write] = field(default_factory=list)

    async def before(self, write: Write) -> None:
        self.writes.append(write)
        if len(self.writes) == self.at and not self.after_write:
            raise Crashed(f"before {write}")

    async def after(self, write: Write) -> None:
        if len(self.writes) == self.at and self.after_write:
            raise Crashed(f"after {write}")


class Lists(Protocol):
    """What a feed asks."""

    async def list(self, resource: Resource, namespace: str | None) -> list[Obj]: ...


Event = tuple[str, Obj]
Fault = Callable[[list[Event]], list[Event]]


class Feed:
    """Watch events of one namespace, made by comparing lists; a fault may drop, repeat or reorder them."""

    def __init__(
        self, api: Lists, namespace: str, *, kinds: Iterable[str] = tuple(RUNS), fault: Fault | None = None
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._resources = [*(RUNS[kind] for kind in kinds), JOB, POD]
        self._known: dict[str, Obj] = {}
        self._fault = fault

    async def snapshot(self) -> list[Obj]:
        """All objects, as a list at start-up would give them."""
        return [obj for resource in self._resources for obj in await self._api.list(resource, self._namespace)]

    async def events(self) -> list[Event]:
        """What changed since the last call."""
        now = {obj["metadata"]["uid"]: obj for obj in await self.snapshot()}
        events: list[Event] = []
        for uid, obj in now.items():
            before = self._known.get(uid)
            if before is None or before["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                events.append(("MODIFIED" if before else "ADDED", obj))
        events += [("DELETED", obj) for uid, obj in self._known.items() if uid not in now]
        self._known = now
        return self._fault(events) if self._fault else events


class Driver:
    """One operator process."""

    def __init__(
        self, api: Api, now: Callable[[], datetime], *, progress_seconds: float = 0.0, comparable: bool = True
    ) -> None:
        self.api = api
        self.cache = Cache()
        self.cache.comparable = comparable
        self.reports = Reports()
        self.observer = Observer(api, self.cache)
        self.now = now
        self.due: dict[Key, None] = {}
        self.warnings = Warnings(api, now, 60.0, self.due.setdefault)
        applier = Applier(api, self.cache, WORKERS, CERTIFICATE, now, self.due.setdefault)
        self.reconciler = Reconciler(
            Sources(self.cache, self.observer, self.reports, self.warnings, self.environment),
            applier,
            now,
            progress_seconds=progress_seconds,
        )
        self.later: dict[Key, float] = {}

    def environment(self) -> Environment:
        return Environment("file:///artifacts", self.observer.pytorch_jobs, retry_backoff_seconds=0.0)

    def feed(self, events: Iterable[Event]) -> None:
        """Take watch events."""
        for type_, obj in events:
            keys = self.cache.drop(obj) if type_ == "DELETED" else self.cache.put(obj)
            self.due.update(dict.fromkeys(keys))

    async def drain(self, limit: int = 50) -> None:
        """Look at what is due until nothing is, or the limit."""
        for _ in range(limit):
            if not self.due:
                await self.warnings.settle()
            if not self.due:
                return
            key = next(iter(self.due))
            del self.due[key]
            again = await self.reconciler.look(key)
            waits = [seconds for seconds in (again.act, again.tell) if seconds is not None]
            if waits and min(waits) <= 0.5:
                self.due[key] = None
            elif waits:
                self.later[key] = min(waits)

    async def resync(self, namespace: str) -> None:
        """The periodic lists."""
        await self.observer.everything(namespace)
        self.due.update(dict.fromkeys(self.cache.keys()))
        await self.drain()


class Clock:
    """The time, moved on by as much as a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def install_crds(api: Api) -> None:
    """Create the CRDs."""
    for path in sorted(CRDS.glob("fabula.dev_*.yaml")):
        await api.request("POST", CRD.path(), body=yaml.safe_load(path.read_text()))


async def make_namespace(api: Api, name: str) -> str:
    """Create a namespace."""
    await api.request(
        "POST", NAMESPACE.path(), body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    return name


def shuffled(seed: int) -> Fault:
    """A fault that drops, repeats and reorders events, by seed."""
    source = random.Random(seed)
    held: list[Event] = []

    def fault(events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in [*held, *events]:
            chance = source.random()
            if chance < 0.2:
                continue
            out += [event] * (2 if chance < 0.4 else 1)
        held.clear()
        # Old news again, later: what a watch that reconnects to a slow server shows.
        held.extend(event for event in events if event[0] != "DELETED" and source.random() < 0.3)
        source.shuffle(out)
        return out

    return fault


def run_object(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Obj:
    """A custom resource."""
    return {
        "apiVersion": "fabula.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": in_blocks(kind, spec),
    }


MODEL_DIGEST = "sha256:" + "d" * 64
"""Given in the specs below, so that their runs need not look at what lies nowhere."""
DATASET_SPEC: dict[str, Any] = {
    "source": {"uri": "quickstart/episodes.jsonl.gz"},
    "extraction": {"provider": "rules", "workers": 2},
    "images": {
        "provider": "diffusers",
        "model": {"uri": "quickstart/models/tiny-sd3", "digest": MODEL_DIGEST},
        "device": "cpu",
    },
}
FINE_TUNE_SPEC: dict[str, Any] = {
    "dataset": {"ref": "data"},
    "model": {"uri": "quickstart/models/tiny-qwen3-vl", "digest": MODEL_DIGEST},
    "topology": {"gpusPerNode": 2, "device": "cpu"},
}
EVAL_SPEC: dict[str, Any] = {
    "samples": {"uri": "quickstart/vist", "count": 6},
    "arms": [
        {"name": "base", "model": {"uri": "m", "digest": MODEL_DIGEST}, "gpusPerShard": 0},
        {
            "name": "finetuned",
            "model": {"uri": "m", "digest": MODEL_DIGEST},
            "adapter": {"ref": "tune"},
            "gpusPerShard": 0,
        },
    ],
    "shards": 2,
    "gates": [{"metric": "format-compliance", "arm": "finetuned", "versus": "base", "min": 0}],
}
