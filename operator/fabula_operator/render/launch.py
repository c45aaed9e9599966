"""What render needs to know of one child, as plain values, so that planning never touches a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fabula_api.base import GROUP
from fabula_api.fine_tune_blocks import Template
from fabula_api.fine_tune_run import Topology
from fabula_api.recipes import API_KINDS, Kind, Shape
from fabula_api.shared_spec import Resources, Retries
from fabula_api.worker import Spec, StageInput
from fabula_operator.render.names import child_name
from fabula_operator.render.worker_defaults import WorkerDefaults

Backend = Literal["Job", "PyTorchJob"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run a child belongs to."""

    kind: Kind
    namespace: str
    name: str
    uid: str

    @property
    def plural(self) -> str:
        """Resource name of the kind."""
        return API_KINDS[self.kind].plural

    @property
    def audience(self) -> str:
        """Audience of the tokens with which this run's pods report; another run's token is refused."""
        return f"{GROUP}/{self.plural}/{self.namespace}/{self.name}/{self.uid}"


@dataclass(frozen=True, slots=True)
class Launch:
    """One child to make."""

    run: RunIdentity
    generation: int
    stage: str
    shape: Shape
    key: str
    """Stage key, `sha256:<hex>`."""
    output: str
    spec: Spec
    arm: str | None = None
    attempt: int = 1
    backend: Backend = "Job"
    shards: int = 1
    """Pods of the child: shards of a Job, nodes of a group."""
    inputs: tuple[StageInput, ...] = ()
    device: Device = "cpu"
    gpus: int = 0
    """GPUs of each pod."""
    resources: Resources = field(default_factory=Resources)
    template: Template = field(default_factory=Template)
    """What the run changes in its pods."""
    topology: Topology | None = None
    """How the ranks of a group lie; None for pods that are no group."""
    vllm: bool = False
    """Whether its pods answer with vLLM, which has libraries of its own."""
    retries: Retries = field(default_factory=Retries)
    model_bytes: int = 0
    """Weights that each of its pods fetches, as far as their size is known by the model's name."""
    model_of_hub: bool = False
    """Whether these come from the Hub, and so may be in the installation's cache."""
    queue: str | None = None
    """Kueue's LocalQueue; the child then waits, suspended, until it is admitted."""
    grace_seconds: int = 0
    """Seconds that its pods may need to end; the installation's own, where those are more."""

    @property
    def linked(self) -> bool:
        """Whether the pods of an Indexed Job have to find each other by name; a PyTorchJob sees to that itself."""
        return self.shape == "group" and self.backend == "Job" and self.shards > 1

    @property
    def child(self) -> str:
        """Name of the child: the same for the same run, stage, arm, key and attempt."""
        attempt = self.attempt if self.shape == "group" else None
        return child_name(self.run.name, self.stage, self.arm, self.key, attempt)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How this installation runs its workers."""

    artifact_root: str
    """URI below which artifacts lie, `file:///...` or `s3://...`."""
    status_url: str
    """Address of the status server as pods reach it."""
    image_cpu: str = "fabula-cpu"
    image_gpu: str = "fabula-gpu"
    image_vllm: str = "fabula-gpu-vllm"
    """Of shards that answer with vLLM."""
    metrics_port: int | None = 9400
    """Port on which workers serve Prometheus metrics; None serves none."""
    artifact_claim: str | None = None
    """PersistentVolumeClaim mounted at the path of a `file://` artifact root."""
    confined: bool = False
    """Whether namespaces are kept apart, so that no folder of a node may hold what is in their parts of the store."""
    grace_seconds: int = 60
    """Time between SIGTERM and SIGKILL, in which a worker commits what it has."""
    defaults: WorkerDefaults = field(default_factory=WorkerDefaults)
    """What each pod gets beside what its run asks for."""
