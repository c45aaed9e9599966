"""What a plan is made from: the run, its children and pods, the runs it names, and its workers' reports, as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fabula_api.once import once
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.status import RunStatus
from fabula_api.worker import StageReport
from fabula_operator.plan.seen.api_objects import Child, Pod
from fabula_operator.plan.seen.pulse import Pulse
from fabula_operator.render.launch import RunIdentity


@dataclass(frozen=True, slots=True)
class Run:
    """A custom resource as it was read."""

    identity: RunIdentity
    generation: int
    spec: Mapping[str, Any]
    """As on the wire; parsing it is part of the plan, since it may be invalid."""
    status: RunStatus
    deleting: bool = False
    version: str = ""
    """Its resourceVersion."""

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> Run:
        """The run in an API object. An unreadable status counts as none: it is written anew from the children."""
        meta = obj["metadata"]
        kind: Kind = obj["kind"]
        return cls(
            identity=RunIdentity(kind, meta["namespace"], meta["name"], meta["uid"]),
            generation=int(meta.get("generation", 1)),
            spec=obj.get("spec") or {},
            status=read_status(kind, obj.get("status")),
            deleting="deletionTimestamp" in meta,
            version=str(meta.get("resourceVersion") or ""),
        )


def read_status(kind: Kind, wire: Mapping[str, Any] | None) -> RunStatus:
    """The status on the wire as its model; an empty one when it does not parse. Nobody may change `wire` any more."""
    return _read(wire, kind) if wire else API_KINDS[kind].status()


@once(512)
def _read(wire: Mapping[str, Any], kind: Kind) -> RunStatus:
    try:
        return API_KINDS[kind].status.model_validate(wire)
    except ValueError:
        return API_KINDS[kind].status()


@dataclass(frozen=True, slots=True)
class Reference:
    """A run that another one names."""

    kind: Kind
    name: str
    state: str | None = None
    """Its status.state; None when it has none yet."""
    exists: bool = True
    uri: str | None = None
    digest: str | None = None
    reason: str | None = None
    samples: int | None = None
    """Samples of a dataset."""
    train_samples: int | None = None
    """Those of its training split, where it says so."""
    recipe: str | None = None
    dry_run: bool = False
    """It only estimates."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """As on the wire."""
    begun: bool = False
    """It has started, and what decides its output is fixed from then on."""

    @property
    def ready(self) -> bool:
        """It has succeeded and says where its artifact is."""
        return self.state == "Succeeded" and self.uri is not None and self.digest is not None


@dataclass(frozen=True, slots=True)
class Report:
    """The last report of one pod, with what it had done at first and when it last said so: two points give a rate,
    right after a resume too."""

    body: StageReport
    received_at: datetime
    first_done: int
    first_at: datetime
    """When it had made nothing yet for the last time."""
    pod: str | None = None
    pulse: Pulse | None = None
    """What the reports before it tell of a training run."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run waits for."""

    reason: str
    message: str
    stalled: bool = False
    """Waiting alone will not end it: somebody has to mend something."""
    since: datetime | None = None
    """When the wait began, where a long one means that somebody has to look."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An object whose events are asked for."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Said:
    """The newest Warning event of an object."""

    reason: str
    message: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Environment:
    """What the installation is like."""

    artifact_root: str
    pytorch_jobs: bool = False
    """Whether the training operator's CRD is installed."""
    retry_backoff_seconds: float = 10.0
    """Wait before a group's second attempt; doubled for each further one, up to five minutes."""
    gpu_hour_usd: Mapping[str, float] = field(default_factory=dict)
    """Dollars for a GPU hour, by product."""
    kueue: bool = True
    """Whether Kueue is installed."""
    scratch_bytes: float | None = None
    """Most that a worker's pod may keep on its node's disk; None where nothing says."""
    model_cache: bool = False
    """Whether models of the Hub come to a volume for all pods, and not to each pod's own disk."""
    shared: tuple[str, ...] | None = None
    """Prefixes that runs of every namespace may read beside their own folders; None where runs are not confined."""
    patience_seconds: float = 60.0
    """So long a child may be without the pods it should have, a pod without its processes, and a pod with others than
    the worker's. After it their events are asked for, at most once in as long."""
    stalled_seconds: float = 900.0
    """So long a run may wait, or its pods say nothing, until it is called stalled."""
    listening_since: datetime | None = None
    """When this operator began to take reports; what came before, it cannot have heard."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a plan may look at."""

    run: Run
    environment: Environment
    children: tuple[Child, ...] = ()
    pods: tuple[Pod, ...] = ()
    references: Mapping[tuple[Kind, str], Reference] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()
    admissions: Mapping[str, str] = field(default_factory=dict)
    """What Kueue says of a queued child, by the child's uid."""
    obstacle: Waiting | None = None
    """What the API server said when it last refused a child."""
    claims: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Keys of group stages to the FineTuneRuns, as `namespace/name`, that are at work on them in the same place."""
    warnings: Mapping[str, Said | None] = field(default_factory=dict)
    """The newest Warning event of children and pods that were asked for, by their uid; None where there is none."""

    def pods_of(self, child: Child) -> tuple[Pod, ...]:
        """The child's pods."""
        return tuple(pod for pod in self.pods if pod.owner_uid == child.uid)

    def twin(self, key: str) -> str | None:
        """Another run that is at work on that stage key, and so on the same artifact."""
        this = f"{self.run.identity.namespace}/{self.run.identity.name}"
        return next((run for run in sorted(self.claims.get(key, ())) if run != this), None)
