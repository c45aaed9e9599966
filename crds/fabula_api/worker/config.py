"""What a worker is told: FABULA_CONFIG, and the environment variables beside it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from fabula_api.base import API_VERSION, Digest, Name, ObjectName, SpecModel, Text, Uri
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.specs import Spec, parse_spec

CONFIG_VARIABLE = "FABULA_CONFIG"
"""Environment variable with the WorkerConfig as JSON."""
SHARD_VARIABLE = "JOB_COMPLETION_INDEX"
TERMINATION_LOG_VARIABLE = "FABULA_TERMINATION_LOG"
"""Path of the termination message; default `/dev/termination-log`."""
FORK_SERVERS_VARIABLE = "FABULA_FORK_SERVERS"
"""Folder of sockets of servers on this machine that have libraries loaded: `DEVICE-QUANTIZATION` those of training and
inference, `stages` what other stages import. Small runs that share them load them once; without it each pod does, and
each training run has a server of its own."""
MODEL_CACHE_VARIABLE = "FABULA_MODEL_CACHE"
"""Folder for models of the Hub that pods share; without it, each keeps its own."""
ARTIFACT_CACHE_VARIABLE = "FABULA_ARTIFACT_CACHE"
"""Folder for copies of artifacts that pods share; without it, each keeps its own."""
METRICS_PORT_VARIABLE = "FABULA_METRICS_PORT"
SERVER_URL_VARIABLE = "KUBEFLOW_TRAINER_SERVER_URL"
SERVER_CA_VARIABLE = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
SERVER_TOKEN_VARIABLE = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105 - the name of a variable that holds a file's path


class RunReference(SpecModel):
    kind: Kind
    namespace: Name
    name: ObjectName
    uid: Text


class StageInput(SpecModel):
    """One artifact or ledger folder that a stage reads."""

    name: Text
    """Stage (`ingest`), stage and arm (`infer/base`), or lineage name (`dataset`, `adapter`)."""
    uri: Uri
    """Folder."""
    digest: Annotated[str, Field(max_length=2100)]
    """Content digest of an artifact, or the key of a sharded stage's folder; `uri:` and its place, where the content is
    not known before it is read."""


class WorkerConfig(SpecModel):
    """Everything a worker is told. Env FABULA_CONFIG holds it as JSON; it never contains secrets or transcript text."""

    api_version: Literal["fabula.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    run: RunReference
    stage: Name
    arm: Name | None = None
    """Arm of a stage that runs for each arm."""
    shards: int = Field(1, ge=1)
    """Number of shards; the own index is in JOB_COMPLETION_INDEX."""
    attempt: int = Field(1, ge=1)
    """Attempt of a group; an attempt that was overtaken cannot commit."""
    root: Uri
    """Artifact root: URIs without a scheme are below it."""
    output: Uri
    """Folder of this stage; its last part is the stage key, without what only bounds how far the stage goes."""
    key: Digest
    """Stage key: digest of everything that decides the output."""
    inputs: list[StageInput] = Field(default_factory=list)
    spec: SerializeAsAny[Spec] = Field(union_mode="left_to_right")
    """The run's whole spec."""

    @model_validator(mode="before")
    @classmethod
    def _spec_by_kind(cls, data: Any) -> Any:
        """Parse the spec as the run's kind and recipe, so that an error names the field and not three unions."""
        if isinstance(data, dict) and isinstance(data.get("spec"), dict) and isinstance(data.get("run"), dict):
            kind = data["run"].get("kind")
            if kind in API_KINDS:
                return {**data, "spec": parse_spec(kind, data["spec"])}
        return data

    def input(self, name: str) -> StageInput:
        """The input of that name. Raises KeyError, naming what there is."""
        for candidate in self.inputs:
            if candidate.name == name:
                return candidate
        raise KeyError(f"stage {self.stage} has no input {name!r}; it has {[i.name for i in self.inputs]}")
