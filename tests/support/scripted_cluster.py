"""A Job controller, training operator and kubelet in one, for tests: children end as a script says, one step at a time.

Each step reads all children and moves each by one: pods appear, pods end, the child ends. Nothing runs by itself, so a
test decides what happens between any two steps.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from fabula_api.externals import unresolved
from fabula_api.worker import WorkerConfig, WorkerResult
from fabula_operator.kube.client import ApiError
from fabula_operator.kube.resources import JOB, POD, PYTORCH_JOB, Obj, Resource


@dataclass(frozen=True)
class Task:
    """One pod's work."""

    stage: str
    arm: str | None
    shard: int
    attempt: int
    attempt_of_shard: int
    """1 for the shard's first pod."""
    config: dict[str, Any]


@dataclass(frozen=True)
class Ending:
    """How a pod ends."""

    exit_code: int = 0
    message: str | None = None
    reason: str | None = None
    disrupted: bool = False
    beside: str | None = None
    """A container that was added to the pod, and runs on when the worker has ended."""
    hangs: bool = False
    """It does not end: it runs until its child is deleted or suspended."""


def digest(text: str) -> str:
    """Some digest."""
    import hashlib

    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


COUNTS: dict[str, dict[str, float]] = {
    "ingest": {"episode/ok": 8},
    "extract": {"episode/ok": 4, "excerpt/ok": 10},
    "illustrate": {"image/ok": 25},
    "assemble": {"sample/ok": 20},
    "train": {"step/ok": 126},
    "select": {"sequence/ok": 6},
    "infer": {"answer/ok": 3},
    "score": {"metric/ok": 7},
}


def success(task: Task) -> Ending:
    """The ending of a worker that did its work: an artifact whose digest follows from the stage key alone."""
    config = task.config
    summary: dict[str, Any] = {}
    if task.stage == "score":
        names = [arm["name"] for arm in config["spec"]["arms"]]
        summary = {
            "arms": [
                {"name": name, "done": 6, "metrics": [{"name": "format-compliance", "mean": 0.5, "count": 6}]}
                for name in names
            ],
            "gates": [
                {**{key: gate[key] for key in ("metric", "arm", "versus") if key in gate}, "value": 0.5, "passed": True}
                for gate in config["spec"].get("gates", ())
            ],
            "selfTests": [{"name": "shuffled", "passed": True, "message": "drops"}],
        }
    if task.stage == "estimate":
        summary = {"estimate": {"calls": 1}}
    if task.stage == "assemble":
        summary = {"samplesBySplit": {"train": 20}}
    if task.stage == "resolve":
        named = unresolved(WorkerConfig.model_validate(config).spec)
        digests = {external.name: digest(external.source.model_dump_json()) for external in named}
        return Ending(message=WorkerResult(outcome="Succeeded", digests=digests).encode().decode())
    sharded = task.stage in ("extract", "illustrate", "infer")
    result = WorkerResult.model_validate(
        {
            "outcome": "Succeeded",
            "artifact": None if sharded else {"uri": config["output"], "digest": digest(config["key"])},
            "counts": COUNTS[task.stage],
            "metrics": {"loss": 1.5} if task.stage == "train" else {},
            "summary": summary,
        }
    )
    return Ending(message=result.encode().decode())


def failure(reason: str, message: str, exit_code: int) -> Ending:
    """The ending of a worker that failed and said why."""
    result = {"outcome": "Failed", "failure": {"reason": reason, "message": message, "exitCode": exit_code}}
    return Ending(exit_code, WorkerResult.model_validate(result).encode().decode())


Script = Callable[[Task], Ending]


class Cluster(Protocol):
    """Where it reads and writes."""

    async def list(self, resource: Resource, namespace: str | None) -> list[Obj]: ...

    async def request(
        self, method: str, path: str, *, body: Any = None, content_type: str = "application/json"
    ) -> Any: ...


@dataclass
class ScriptedCluster:
    """Moves the children of one namespace."""

    api: Cluster
    namespace: str
    script: Script = success
    runs: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Pods started for each (child, index)."""
    overlaps: list[str] = field(default_factory=list)
    """Pods of two attempts alive at once, which must never be."""
    pytorch_jobs: bool = False
    _serial: int = 0

    async def step(self) -> bool:
        """Move every child by one; whether anything moved."""
        children = [(JOB, job) for job in await self.api.list(JOB, self.namespace)]
        if self.pytorch_jobs:
            children += [(PYTORCH_JOB, job) for job in await self.api.list(PYTORCH_JOB, self.namespace)]
        pods = await self.api.list(POD, self.namespace)
        moved = await self._collect_garbage({child["metadata"]["uid"] for _, child in children}, pods)
        for resource, child in children:
            owned = [pod for pod in pods if _owner(pod) == child["metadata"]["uid"]]
            moved |= await self._child(resource, child, owned)
        self._check_overlap(pods, children)
        return moved

    async def _collect_garbage(self, there: set[str], pods: list[Obj]) -> bool:
        orphans = [pod for pod in pods if _owner(pod) not in there]
        for pod in orphans:
            await self._remove(pod)
        return bool(orphans)

    async def _remove(self, pod: Obj) -> None:
        path = POD.path(self.namespace, pod["metadata"]["name"])
        try:
            await self.api.request("DELETE", path, body={"gracePeriodSeconds": 0})
        except ApiError as error:
            if error.code != 404:
                raise

    async def _child(self, resource: Resource, child: Obj, pods: list[Obj]) -> bool:
        spec, status = child["spec"], child.get("status") or {}
        done = {c["type"] for c in status.get("conditions") or () if c["status"] == "True"}
        if done & {"Complete", "Failed", "Succeeded"}:
            return False
        suspend = spec.get("suspend") if resource is JOB else spec["runPolicy"].get("suspend")
        active = [pod for pod in pods if pod["status"].get("phase") in ("Pending", "Running")]
        if suspend:
            for pod in active:
                await self._remove(pod)
            return bool(active)
        size = spec["completions"] if resource is JOB else _replicas(spec)
        succeeded = {_index(pod) for pod in pods if pod["status"].get("phase") == "Succeeded"}
        failed = Counter(_index(pod) for pod in pods if pod["status"].get("phase") == "Failed")
        if len(succeeded) == size:
            await self._end(resource, child, "Complete" if resource is JOB else "Succeeded", succeeded, failed)
            return True
        if verdict := _verdict(resource, spec, pods, failed):
            for pod in active:
                await self._remove(pod)
            indexes = [] if verdict == "Failed" else [int(verdict)]
            await self._end(resource, child, "Failed", succeeded, failed, indexes)
            return True
        moved = False
        by_index = {_index(pod): pod for pod in active}
        for index in range(size):
            if index in succeeded:
                continue
            if index not in by_index:
                await self._start(resource, child, index)
                moved = True
            else:
                moved |= await self._finish(child, by_index[index], failed[index] + 1)
        return moved

    async def _start(self, resource: Resource, child: Obj, index: int) -> None:
        self._serial += 1
        template = child["spec"]["template"] if resource is JOB else _template(child["spec"])
        meta = template["metadata"]
        name = f"{child['metadata']['name']}-{index}-{self._serial:05d}"
        labels = {**meta["labels"], "batch.kubernetes.io/job-completion-index": str(index)}
        owner = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "name": child["metadata"]["name"],
            "uid": child["metadata"]["uid"],
            "controller": True,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels, "ownerReferences": [owner]},
            "spec": template["spec"],
        }
        self.runs[child["metadata"]["name"], index] += 1
        await self.api.request("POST", POD.path(self.namespace), body=pod)
        await self._set_pod(name, {"phase": "Running"})

    async def _finish(self, child: Obj, pod: Obj, tries: int) -> bool:
        environment = {variable["name"]: variable.get("value", "") for variable in pod["spec"]["containers"][0]["env"]}
        config = json.loads(environment["FABULA_CONFIG"])
        labels = child["metadata"]["labels"]
        task = Task(
            labels["fabula.dev/stage"], labels.get("fabula.dev/arm"), _index(pod), config["attempt"], tries, config
        )
        ending = self.script(task)
        if ending.hangs or pod["status"].get("containerStatuses"):
            return False
        terminated = {"exitCode": ending.exit_code, "finishedAt": _now(), "startedAt": _now()}
        terminated["reason"] = ending.reason or ("Completed" if ending.exit_code == 0 else "Error")
        if ending.message is not None:
            terminated["message"] = ending.message
        status: Obj = {
            "phase": "Succeeded" if ending.exit_code == 0 else "Failed",
            "containerStatuses": [
                {
                    "name": pod["spec"]["containers"][0]["name"],
                    "state": {"terminated": terminated},
                    "ready": False,
                    "restartCount": 0,
                    "image": "x",
                    "imageID": "",
                }
            ],
        }
        if ending.beside is not None:
            status["phase"] = "Running"
            container = status["containerStatuses"][0]
            status["containerStatuses"] = [{**container, "name": ending.beside, "state": {"running": {}}}, container]
        if ending.disrupted:
            status["conditions"] = [
                {
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "PreemptionByScheduler",
                    "lastTransitionTime": _now(),
                }
            ]
        await self._set_pod(pod["metadata"]["name"], status)
        return True

    async def _set_pod(self, name: str, status: Obj) -> None:
        await self._status(POD, name, status)

    async def _status(self, resource: Resource, name: str, status: Obj) -> None:
        path = resource.path(self.namespace, name, "status")
        await self.api.request("PATCH", path, body={"status": status}, content_type="application/merge-patch+json")

    async def _end(
        self,
        resource: Resource,
        child: Obj,
        type_: str,
        succeeded: set[int],
        failed: Counter[int],
        failed_indexes: list[int] | None = None,
    ) -> None:
        now = _now()
        conditions = [{"type": type_, "status": "True", "reason": type_, "message": "", "lastTransitionTime": now}]
        status: Obj = {"conditions": conditions, "startTime": now}
        if resource is JOB:
            before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[type_]
            conditions.insert(0, {**conditions[0], "type": before})
            status |= {"succeeded": len(succeeded), "failed": sum(failed.values())}
            if failed_indexes:
                status["failedIndexes"] = ",".join(map(str, failed_indexes))
        if type_ in ("Complete", "Succeeded"):
            status["completionTime"] = now
        await self._status(resource, child["metadata"]["name"], status)

    def _check_overlap(self, pods: list[Obj], children: list[tuple[Resource, Obj]]) -> None:
        alive: dict[str, set[str]] = {}
        for pod in pods:
            if pod["status"].get("phase") == "Running" and pod["metadata"]["labels"]["fabula.dev/stage"] == "train":
                labels = pod["metadata"]["labels"]
                alive.setdefault(labels["fabula.dev/run-uid"], set()).add(labels["fabula.dev/attempt"])
        self.overlaps += [f"{uid}: {attempts}" for uid, attempts in alive.items() if len(attempts) > 1]


def _verdict(resource: Resource, spec: Obj, pods: list[Obj], failed: Counter[int]) -> str | None:
    """`Failed`, the index that failed for good, or None."""
    if not failed:
        return None
    if resource is not JOB or spec.get("backoffLimit") == 0:
        return "Failed"
    for pod in pods:
        for status in pod["status"].get("containerStatuses") or ():
            if (status["state"].get("terminated") or {}).get("exitCode") in (64, 65, 77):
                return "Failed"
    for index, count in sorted(failed.items()):
        if count > spec["backoffLimitPerIndex"]:
            return str(index)
    return None


def _owner(pod: Obj) -> str | None:
    return next((owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()), None)


def _index(pod: Obj) -> int:
    return int(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"])


def _replicas(spec: Obj) -> int:
    return sum(role["replicas"] for role in spec["pytorchReplicaSpecs"].values())


def _template(spec: Obj) -> Obj:
    template: Obj = spec["pytorchReplicaSpecs"]["Master"]["template"]
    return template


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
