"""Blocks that more than one kind has: references, output, retries, scheduling, the pixel window."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fabula_api.base import Digest, Duration, Name, ObjectName, Quantity, Rule, SpecModel, Text, Uri

ResourceMap = Annotated[dict[Text, Quantity], Field(max_length=16)]


class Resources(SpecModel):
    """Compute resources of one worker pod, as in a container's `resources`."""

    requests: ResourceMap = Field(default_factory=dict)
    """Minimum amounts, for example `{cpu: "4", memory: 16Gi}`."""
    limits: ResourceMap = Field(default_factory=dict)
    """Maximum amounts, for example `{nvidia.com/gpu: "1"}`."""


class Output(SpecModel):
    uri: Uri | None = None
    """Where artifacts go. Default: below the operator's artifact root, by namespace."""


class Retries(SpecModel):
    infrastructure: int = Field(10, ge=0, le=1000)
    """How often a run is restarted after preemption, node loss or an image that could not be pulled."""
    failure: int = Field(2, ge=0, le=100)
    """How often a run (or, in a sharded stage, one shard) is restarted after its own failure."""


class Toleration(SpecModel):
    key: Text | None = None
    """Taint key; none matches every key."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How key and value are compared."""
    value: Text | None = None
    """Taint value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; none matches every effect."""
    toleration_seconds: int | None = Field(None, ge=0, le=86400)
    """How long a NoExecute taint is tolerated, in seconds."""


class Scheduling(SpecModel):
    """Where worker pods may run; copied into every pod."""

    node_selector: Annotated[dict[Text, Text], Field(max_length=16)] = Field(default_factory=dict)
    """Labels that a node must carry."""
    tolerations: list[Toleration] = Field(default_factory=list, max_length=16)
    """Taints that the pods tolerate. Pods with GPUs also tolerate `nvidia.com/gpu:NoSchedule`, if none has that key."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""


class ObjectReference(SpecModel):
    name: ObjectName
    """Name of an object in the same namespace."""


class ModelSource(SpecModel):
    """A model: a name on the Hugging Face Hub, or a folder in the artifact store. Exactly one of the two."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "has(self.name) != has(self.uri)", "message": "give exactly one of name and uri"},
        {"rule": "!has(self.revision) || has(self.name)", "message": "revision goes with name"},
        {"rule": "!has(self.digest) || has(self.uri)", "message": "digest goes with uri; a name has a revision"},
    )
    name: Text | None = None
    """Hub repository, for example `Qwen/Qwen3-VL-32B-Instruct`."""
    uri: Uri | None = None
    """Folder with weights, config and processor."""
    revision: Text | None = None
    """Branch, tag or commit of the Hub repository. A commit (40 hex digits) is taken as it is; else the run looks up,
    once, which one it is, and keeps to that."""
    digest: Digest | None = None
    """Digest of the folder's content, as `status.lineage` of an earlier run has it; a folder with another one is
    refused. Without it, the run finds it out before it starts."""


class ArtifactSource(SpecModel):
    """An artifact made by another run, or one that exists already. Exactly one of the two."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "has(self.ref) != has(self.uri)", "message": "give exactly one of ref and uri"},
        {"rule": "!has(self.digest) || has(self.uri)", "message": "digest goes with uri; a run's is known"},
    )
    ref: ObjectName | None = None
    """Name of the run, in this namespace, that makes it. This run waits for it and records its digest."""
    uri: Uri | None = None
    """Folder of a committed artifact (one that has a manifest)."""
    digest: Digest | None = None
    """Digest in its manifest; an artifact with another one is refused. Without it, the run finds it out before it
    starts."""


class PixelWindow(SpecModel):
    """Area of a picture, in pixels, after the processor's resize. One definition for training and inference."""

    cel: ClassVar[tuple[Rule, ...]] = (
        {"rule": "self.minPixels <= self.maxPixels", "message": "minPixels must not be greater than maxPixels"},
    )
    min_pixels: int = Field(12_544, ge=1_024, le=16_777_216)
    """Smaller pictures are scaled up to this area."""
    max_pixels: int = Field(451_584, ge=1_024, le=16_777_216)
    """Larger pictures are scaled down to this area; 1344x768 becomes 864x480, which is 405 tokens."""


class RunSpec(SpecModel):
    """Fields of every kind."""

    recipe: Name = "podcast"
    """The system to reproduce; it decides stages, prompts and metrics, and which block of fields this spec has."""
    parameters: Annotated[dict[Text, Any], Field(max_length=64)] | None = None
    """The fields of a recipe for which this CRD has no block of its own. The operator holds them against the recipe's
    models and names what is wrong in the condition Accepted."""
    output: Output = Field(default_factory=Output)
    """Where the run's artifacts go."""
    suspend: bool = False
    """True stops the run's pods and keeps what is finished; false goes on from there."""
    deadline: Duration | None = None
    """The run fails when it has not finished this long after it started."""
    ttl: Duration | None = None
    """The object, with its Jobs, is deleted this long after it finished. Artifacts stay."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the worker pods; its token reaches the status server only."""
    secret_ref: ObjectReference | None = None
    """Secret whose keys become environment variables of the workers, for example AWS credentials."""
    scheduling: Scheduling = Field(default_factory=Scheduling)
    """Where the worker pods may run."""
