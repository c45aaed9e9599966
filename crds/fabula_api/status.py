"""What the status of every kind holds: conditions, progress, stages, attempts, lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fabula_api.attribute_docs import attribute_docs
from fabula_api.base import ContentDigest, Count, StatusModel, Text, Timestamp, Uri

ConditionStatus = Literal["True", "False", "Unknown"]
State = Literal["Pending", "Running", "Suspended", "Succeeded", "Failed"]


class Condition(StatusModel):
    """A condition as the Kubernetes API conventions define it."""

    type: Annotated[str, Field(max_length=316)]
    """Name of the condition."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """One CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """A sentence for people."""
    observed_generation: Count | None = None
    """Generation of the spec that this condition speaks of."""
    last_transition_time: Timestamp
    """When `status` last changed."""


class ArtifactStatus(StatusModel):
    uri: Uri
    """Folder of the artifact."""
    digest: Text
    """Digest of its content."""


class Progress(StatusModel):
    stage: Text | None = None
    """Stage at work."""
    done: Count | None = None
    """Items (or steps) done."""
    total: Count | None = None
    """Items (or steps) in all, when known."""
    percent: Count | None = None
    """Whole per cent of the run, all stages weighed alike."""
    eta: Text | None = None
    """Time left, as `2m10s`."""
    summary: Text | None = None
    """One cell for `kubectl get`, such as `illustrate 31/120` or `step 40/126`."""


class StageStatus(StatusModel):
    name: Text
    """Stage, and arm behind a slash where a stage runs once for each arm."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"] = "Pending"
    """Where the stage is."""
    key: Text | None = None
    """Digest of everything that decides the stage's output; the same key is never computed twice."""
    done: Count | None = None
    """Items done."""
    total: Count | None = None
    """Items in all, when known."""
    failed: Count | None = None
    """Items that failed for good."""
    eta: Text | None = None
    """Time left, as `2m10s`."""
    reused: bool | None = None
    """True when a finished artifact with the same key was taken."""
    artifact: ArtifactStatus | None = None
    """What the stage made."""
    digests: Annotated[dict[Text, ContentDigest], Field(max_length=64)] | None = None
    """What `resolve` found: digests of what the run reads from outside, by the names that `lineage` has for it."""
    started_at: Timestamp | None = None
    """When its first pod was asked for."""
    finished_at: Timestamp | None = None
    """When it ended."""


class Tally(StatusModel):
    kind: Text
    """What is counted: `record`, `image`, `sample`, or another kind of the recipe's items."""
    outcome: Text
    """`ok`, `skipped`, `rejected`, `failed`."""
    reason: Text | None = None
    """Why, in one CamelCase word."""
    count: Count
    """How many."""


class FailureDigest(StatusModel):
    """Why a run failed, in what a person needs first."""

    reason: Text
    """One CamelCase word."""
    message: Annotated[str, Field(max_length=4096)]
    """What is wrong, where, and what to do."""
    stage: Text | None = None
    """Stage that failed."""
    shard: Count | None = None
    """First failing shard."""
    rank: Count | None = None
    """First failing rank of a training run."""
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    """Exit code of its process."""
    exception: Text | None = None
    """Class of the exception."""
    log_tail: list[Annotated[str, Field(max_length=2048)]] = Field(default_factory=list, max_length=20)
    """Last lines of its log."""


class Lineage(StatusModel):
    name: Text
    """Role of the input: `source`, `dataset`, `model`, `adapter/<arm>`, `samples`."""
    uri: Uri | None = None
    """Where it is."""
    digest: Text | None = None
    """Digest of its content."""
    run: Text | None = None
    """Run that made it, as `Kind/name`."""


class RunStatus(StatusModel):
    """Fields of every status."""

    own_conditions: ClassVar[Mapping[str, str]] = {}
    """Types of the conditions that the kind has beside those of every kind, and what each tells."""
    state: State | None = None
    """One word: Pending, Running, Suspended, Succeeded or Failed."""
    reason: Text | None = None
    """Why it is in that state: what it waits for, or why it failed."""
    observed_generation: Count | None = None
    """Generation of the spec that the status speaks of."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(default_factory=list)
    """Accepted, Running, Suspended, Succeeded, Failed, Finished, Reconciling, Stalled"""
    progress: Progress | None = None
    """How far the run is."""
    stages: list[StageStatus] = Field(default_factory=list, max_length=64)
    """The run's stages in order."""
    started_at: Timestamp | None = None
    """When the first pod was asked for."""
    finished_at: Timestamp | None = None
    """When the run ended."""
    failure: FailureDigest | None = None
    """Why it failed."""
    lineage: list[Lineage] = Field(default_factory=list, max_length=64)
    """Inputs by digest: dataset, adapter and score form one chain."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON Schema, whose conditions are described with the kind's own."""
        schema = super().__get_pydantic_json_schema__(core, handler)
        conditions = handler.resolve_ref_schema(schema)["properties"]["conditions"]
        meanings = "".join(f"; {name}: {about}" for name, about in cls.own_conditions.items())
        conditions["description"] = f"{attribute_docs(cls)['conditions']}{meanings}."
        return schema
