"""Jobs, PyTorchJobs and pods read from API objects: only what a plan asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from fabula_api.outside import plain, whole
from fabula_api.worker import SHARDS
from fabula_operator.plan.times import parse_time
from fabula_operator.render.names import (
    ARM,
    ATTEMPT,
    GENERATION,
    KEY,
    PYTORCH_CONTAINER,
    QUEUE,
    STAGE,
    WORKER_CONTAINER,
)

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
Obj = Mapping[str, Any]
_OWN = (WORKER_CONTAINER, PYTORCH_CONTAINER)
_NEVER_RAN = frozenset({"StartError", "ContainerCannotRun"})
"""What the kubelet says of a container that no runtime could start: its message is the runtime's, not the worker's."""

# Reasons of a waiting container that do not pass by themselves; the others (ContainerCreating, PodInitializing) do.
STUCK_REASONS = frozenset(
    {
        "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
        "CreateContainerError", "RunContainerError",
    }
)  # fmt: skip


def controller_uid(meta: Obj) -> str | None:
    """Uid of the object's controlling owner."""
    return next((str(owner["uid"]) for owner in meta.get("ownerReferences") or () if owner.get("controller")), None)


def controller_kind(meta: Obj) -> str | None:
    """Kind of the object's controlling owner."""
    return next(
        (str(owner.get("kind")) for owner in meta.get("ownerReferences") or () if owner.get("controller")), None
    )


def _conditions(obj: Obj) -> dict[str, Obj]:
    return {c["type"]: c for c in (obj.get("status") or {}).get("conditions") or () if c.get("status") == "True"}


def indexes(text: str | None, size: int) -> frozenset[int]:
    """The completion indexes below `size` in a Job's compressed list, such as `0,2-4`."""
    completed: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        low, high = whole(first.strip()), whole((last or first).strip())
        if low is not None and high is not None:
            completed.update(range(low, min(high + 1, size)))
    return frozenset(completed)


class Foreign(ValueError):
    """An object with a run's labels that the operator cannot have made, or not so."""


def _size(*pods: object) -> int:
    """Pods that a child wants in all. Raises Foreign for a number that no launch asks for."""
    counts = [whole(count) for count in pods]
    size = sum(count or 0 for count in counts)
    if None in counts or not 1 <= size <= SHARDS:
        raise Foreign(f"it wants {plain(str(pods))[:80]} pods, and no run asks for more than {SHARDS}")
    return size


def _number(text: object, of: str) -> int:
    """A count in a label. Raises Foreign."""
    number = whole(text)
    if number is None:
        raise Foreign(f"its {of} is {plain(str(text))[:80]!r}")
    return number


@dataclass(frozen=True, slots=True)
class Child:
    """A Job or PyTorchJob of a run."""

    kind: Literal["Job", "PyTorchJob"]
    name: str
    uid: str
    stage: str
    arm: str | None
    attempt: int
    key: str
    generation: int
    """Generation of the run's spec when the child was made."""
    size: int
    """Pods it wants."""
    suspended: bool = False
    """Its spec says so."""
    complete: bool = False
    failed: bool = False
    """It has failed for good, or one of its indexes has."""
    reason: str | None = None
    message: str | None = None
    failed_indexes: frozenset[int] = frozenset()
    retried: int = 0
    """Pods that failed so far."""
    deleting: bool = False
    queue: str | None = None
    """Kueue's LocalQueue that decides when it runs."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    """When its controller first (or again, after a suspension) began to make pods."""
    finished_at: datetime | None = None

    @property
    def terminal(self) -> bool:
        """It will make no more pods."""
        return self.complete or self.failed

    @classmethod
    def from_object(cls, obj: Obj) -> Child:
        """The child in a Job or PyTorchJob. Raises ValueError for one that the operator cannot have made."""
        meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
        labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
        kind: Literal["Job", "PyTorchJob"] = "PyTorchJob" if obj["kind"] == "PyTorchJob" else "Job"
        conditions = _conditions(obj)
        if kind == "Job":
            size = _size(1 if spec.get("completions") is None else spec["completions"])
            suspended = bool(spec.get("suspend"))
            done, broken = conditions.get("Complete"), conditions.get("Failed")
            failed_indexes = indexes(status.get("failedIndexes"), size)
            retried = whole(status.get("failed")) or 0
        else:
            size = _size(*(replica.get("replicas", 1) for replica in (spec.get("pytorchReplicaSpecs") or {}).values()))
            suspended = bool((spec.get("runPolicy") or {}).get("suspend"))
            done, broken = conditions.get("Succeeded"), conditions.get("Failed")
            failed_indexes = frozenset()
            retried = 0
        ended = broken or done
        return cls(
            kind=kind,
            name=meta["name"],
            uid=meta["uid"],
            stage=labels.get(STAGE, ""),
            arm=labels.get(ARM),
            attempt=_number(labels.get(ATTEMPT, "1"), "attempt"),
            key=annotations.get(KEY, ""),
            generation=_number(annotations.get(GENERATION, "1"), "generation"),
            size=size,
            suspended=suspended,
            complete=done is not None and broken is None,
            failed=broken is not None or bool(failed_indexes),
            reason=broken.get("reason") if broken else None,
            message=broken.get("message") if broken else None,
            failed_indexes=failed_indexes,
            retried=retried,
            deleting="deletionTimestamp" in meta,
            queue=labels.get(QUEUE),
            created_at=parse_time(meta.get("creationTimestamp")),
            started_at=parse_time(status.get("startTime")),
            finished_at=parse_time(
                status.get("completionTime") or (ended.get("lastTransitionTime") if ended else None)
            ),
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A worker pod."""

    name: str
    uid: str
    owner_uid: str | None
    phase: str
    index: int = 0
    """Shard, or rank of the node in a group."""
    exit_code: int | None = None
    """Of its container, once ended."""
    ended_reason: str | None = None
    """The kubelet's word: `OOMKilled`, `Error`, `Evicted` ..."""
    termination_message: str | None = None
    not_started: str | None = None
    """What the container's runtime said when it could not start it."""
    message: str | None = None
    """What the kubelet says of the pod as a whole: why it was evicted or not admitted, or which container before the
    worker's failed."""
    waiting: str | None = None
    """Reason it cannot start: `Unschedulable`, `ImagePullBackOff` ..."""
    waiting_message: str | None = None
    disrupted: str | None = None
    """Reason of its DisruptionTarget condition: preempted, evicted, its node gone."""
    deleting: bool = False
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    """When it got its node."""
    begun_at: datetime | None = None
    """When the worker's container began."""
    finished_at: datetime | None = None
    beside: str | None = None
    """Another container of the pod that runs on although the worker's has ended."""

    @property
    def terminal(self) -> bool:
        """Its processes have ended."""
        return self.phase in ("Succeeded", "Failed")

    @classmethod
    def from_object(cls, obj: Obj) -> Pod:
        """The pod in an API object. Raises ValueError for one that no controller of a child can have made."""
        meta, status = obj["metadata"], obj.get("status") or {}
        labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
        # Others may be in the pod beside it, such as a service mesh's, and the kubelet tells of them by name.
        workers = [container for container in status.get("containerStatuses") or () if container.get("name") in _OWN]
        state: Obj = (workers[0].get("state") or {}) if workers else {}
        ended: Obj = state.get("terminated") or {}
        never_ran = ended.get("reason") in _NEVER_RAN
        waiting, message = _waiting(status, state)
        disruption = _conditions(obj).get("DisruptionTarget")
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            owner_uid=controller_uid(meta),
            phase=status.get("phase") or "Pending",
            index=_index(labels, annotations),
            exit_code=ended.get("exitCode"),
            ended_reason=ended.get("reason") or status.get("reason"),
            termination_message=None if never_ran else ended.get("message"),
            not_started=plain(str(ended.get("message") or ended["reason"]))[:2000] if never_ran else None,
            message=plain(status.get("message") or "")[:1000] or (None if ended else _failed_before(status)),
            waiting=waiting,
            waiting_message=message,
            disrupted=(disruption.get("reason") or "DisruptionTarget") if disruption else None,
            deleting="deletionTimestamp" in meta,
            created_at=parse_time(meta.get("creationTimestamp")),
            scheduled_at=parse_time((_conditions(obj).get("PodScheduled") or {}).get("lastTransitionTime")),
            begun_at=parse_time((ended or state.get("running") or {}).get("startedAt")),
            finished_at=parse_time(ended.get("finishedAt")),
            beside=_beside(status) if ended else None,
        )


def _beside(status: Obj) -> str | None:
    """A container that runs beside the worker's; those that Kubernetes itself ends with the pod are none."""
    others = (container for container in status.get("containerStatuses") or () if container.get("name") not in _OWN)
    return next(
        (str(container["name"]) for container in others if "terminated" not in (container.get("state") or {})), None
    )


def _failed_before(status: Obj) -> str | None:
    """Which container before the worker's failed, so that it never ran."""
    for container in status.get("initContainerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            what = f"{ended.get('reason') or 'Error'}, exit code {ended['exitCode']}"
            return f"init container {container['name']} failed ({what})"
    return None


def _index(labels: Obj, annotations: Obj) -> int:
    text = annotations.get(INDEX_ANNOTATION) or labels.get(INDEX_ANNOTATION)
    if text is not None:
        return _below(_number(text, "completion index"))
    replica = _below(_number(labels.get("training.kubeflow.org/replica-index") or "0", "replica index"))
    # The training operator numbers workers from 0 beside the master, which has rank 0.
    return replica + 1 if labels.get("training.kubeflow.org/replica-type", "").lower() == "worker" else replica


def _below(index: int) -> int:
    if index >= SHARDS:
        raise Foreign(f"its index is {index}, and no child has more than {SHARDS} pods")
    return index


def _waiting(status: Obj, state: Obj) -> tuple[str | None, str | None]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            if condition.get("reason") == "SchedulingGated":
                return "SchedulingGated", condition.get("message")
            return "Unschedulable", condition.get("message")
    before = [container.get("state") or {} for container in status.get("initContainerStatuses") or ()]
    for waiting in (container.get("waiting") or {} for container in (*before, state)):
        if waiting.get("reason") in STUCK_REASONS:
            return waiting["reason"], waiting.get("message")
    return None, None


def running(pods: Iterable[Pod]) -> list[Pod]:
    """Those whose processes may still be at work."""
    return [pod for pod in pods if not pod.terminal]
