"""The contract between the operator and a worker pod: config in, progress, result and exit code out."""

from __future__ import annotations

import base64
import json
import zlib
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializeAsAny, StringConstraints, model_validator

from fabula_api.artifact import ArtifactReference
from fabula_api.base import (
    API_VERSION,
    ContentDigest,
    Digest,
    Name,
    ObjectName,
    SpecModel,
    StatusModel,
    Text,
    Uri,
)
from fabula_api.fine_tune_status import CheckpointStatus
from fabula_api.outside import read_outside
from fabula_api.recipes import API_KINDS, Kind
from fabula_api.specs import Spec as Spec
from fabula_api.specs import parse_spec
from fabula_api.status import FailureDigest, Lineage
from fabula_api.summary import Summary

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
SHARDS = 1024
"""Most pods of one child: no spec asks for more."""
TERMINATION_LIMIT = 4096
"""Bytes the kubelet keeps of a termination message."""


class ExitCode(IntEnum):
    """What a worker's exit means; anything else is a crash (after sysexits.h)."""

    OK = 0
    CONFIG = 64
    """Bad configuration: never retried."""
    INPUT = 65
    """Bad input: never retried."""
    CREDENTIALS = 77
    """Refused credentials or no permission: never retried."""
    RETRY = 75
    """Try again: the store or provider did not answer, no space, or SIGTERM."""


FINAL_EXIT_CODES = (ExitCode.CONFIG, ExitCode.INPUT, ExitCode.CREDENTIALS)

GRACE_TOO_SHORT = "GraceTooShort"
"""Reason of a group that was told to stop and killed before it had saved: nobody's failure but the installation's."""
PEER_LOST = "PeerLost"
"""Reason of a rank that ended because another one did. The other's own word, in another pod, is the one to show."""
LOSS_NOT_FINITE = "LossNotFinite"
"""Reason of a training whose loss is no number any more, whoever sees it first: its ranks or the watchdog."""
GRADIENT_NOT_FINITE = "GradientNotFinite"
"""The same of its gradient norm."""
RESUMED_METRIC = "resumedFromStep"
"""Metric of a training report: the step of the checkpoint that the attempt went on from."""


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


class TrainerMetric(StatusModel):
    name: Text
    value: Text


class TrainerStatus(StatusModel):
    """Body of Kubeflow Trainer's progress protocol (KEP-2779)."""

    progress_percentage: int | None = None
    estimated_remaining_seconds: int | None = None
    metrics: list[TrainerMetric] = Field(default_factory=list, max_length=256)
    last_updated_time: Text | None = None


class StageCondition(StatusModel):
    """What keeps a worker from going on, for people: `ProviderThrottled`, `ProviderUnavailable`, `BudgetReached`."""

    reason: Text
    """One CamelCase word."""
    message: Text
    """A sentence."""


class QuotaPart(StatusModel):
    """What one shard may take of an account's quota, as parts from 0 to 1."""

    share: float = Field(ge=0, le=1)
    """Now."""
    fallback_share: float = Field(ge=0, le=1)
    """Once nothing has been heard from the operator for a while."""


class QuotaLease(QuotaPart):
    """A part of the quota, lent for a while, so that the parts of all shards never add up to more than the quota."""

    valid_seconds: float
    """So long `share` holds, from when the report was sent that this answers; then `fallback_share` does."""
    ends_seconds: float
    """So long `fallback_share` holds; then nothing may be taken."""
    renew_seconds: float
    """Report again within so many seconds."""

    def share_after(self, seconds: float) -> float:
        """What may be taken so many seconds after the report was sent."""
        if seconds <= self.valid_seconds:
            return self.share
        return self.fallback_share if seconds <= self.ends_seconds else 0.0

    def part_after(self, seconds: float) -> QuotaPart:
        """What is held so many seconds after the report was sent, and what will be."""
        fallback = self.fallback_share if seconds <= self.ends_seconds else 0.0
        return QuotaPart(share=self.share_after(seconds), fallback_share=fallback)


ITEMS = 10**12
"""Most items, tokens or dollars that one shard can tell of: the sum over all shards is a number that JSON keeps."""
FIGURES = 256
"""Most figures in one report or result."""
FigureName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
Items = Annotated[int, Field(ge=0, le=ITEMS)]
Counts = Annotated[
    dict[FigureName, Annotated[float, Field(ge=0, le=ITEMS, allow_inf_nan=False)]], Field(max_length=FIGURES)
]
"""Figures to add up over shards, as `kind/outcome` or `kind/outcome/Reason`."""
Figures = Annotated[dict[FigureName, Annotated[float, Field(allow_inf_nan=True)]], Field(max_length=FIGURES)]
"""Latest figures, by the camelCase names of FineTuneRun's status.metrics; a loss may be no number."""


class StageReport(StatusModel):
    """Our fields beside KEP-2779's. Whoever runs a pod writes them, so each has a bound."""

    # JSON has no NaN; as a string it reaches the operator, which has to say that the loss is none.
    model_config = ConfigDict(ser_json_inf_nan="strings")

    stage: Name
    arm: Name | None = None
    shard: int = Field(0, ge=0, lt=SHARDS)
    attempt: int = Field(1, ge=1, lt=2**31)
    done: Items = 0
    total: Items | None = None
    failed: Items = 0
    eta_seconds: Items | None = None
    counts: Counts = Field(default_factory=dict)
    metrics: Figures = Field(default_factory=dict)
    checkpoint: CheckpointStatus | None = None
    """Last committed checkpoint."""
    condition: StageCondition | None = None
    """What keeps it from going on just now; None when nothing does."""
    quota: QuotaPart | None = None
    """What it holds of the provider's quota; None when the operator has lent it nothing yet."""


class ProgressBody(StatusModel):
    """What a worker POSTs. A foreign trainer that speaks only KEP-2779 leaves `fabula` out."""

    trainer_status: TrainerStatus
    fabula: StageReport | None = None


class Allowance(StatusModel):
    """Reply to a report: what the run may spend next."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    lease: QuotaLease | None = None
    """For how long these rates hold."""
    budget_used_up: bool = False
    """No further call may be paid for."""
    budget_usd: float | None = None
    """Dollars that this shard may have spent in all, with what its ledger says it spent already; None: no bound."""
    stop: bool = False
    """The run was suspended or deleted, or this attempt was overtaken: commit and exit."""


class WorkerResult(StatusModel):
    """A worker's last word, in the termination message."""

    outcome: Literal["Succeeded", "Failed"]
    artifact: ArtifactReference | None = None
    reused: bool = False
    """True when a committed artifact was found and nothing was done."""
    counts: Counts = Field(default_factory=dict)
    """As in StageReport; figures that a status shows."""
    metrics: Figures = Field(default_factory=dict)
    summary: SerializeAsAny[Summary] = Field(default_factory=Summary)
    """Stage-specific: its model in `fabula_api.summary` has what is read of it."""
    lineage: list[Lineage] = Field(default_factory=list)
    """What the stage read."""
    digests: Annotated[dict[Text, ContentDigest], Field(max_length=64)] = Field(default_factory=dict)
    """Of `resolve`: digests of what the run reads from outside, by lineage name."""
    failure: FailureDigest | None = None

    def encode(self, limit: int = TERMINATION_LIMIT) -> bytes:
        """JSON of at most `limit` bytes: the summary is packed where it must be, the log tail and the failure
        message are shortened.

        Raises ValueError when even the rest does not fit, since a result cut in half could not be read.
        """
        result = self
        while len(data := result._written(limit)) > limit:
            failure = result.failure
            if failure is None or (not failure.log_tail and len(failure.message) <= 256):
                raise ValueError(f"the result takes {len(data)} bytes, more than the {limit} of a termination message")
            if failure.log_tail:
                failure = failure.replace(log_tail=failure.log_tail[1:])
            else:
                failure = failure.replace(message=failure.message[:256])
            result = result.replace(failure=failure)
        return data

    def _written(self, limit: int) -> bytes:
        whole = self.model_dump_json(by_alias=True, exclude_defaults=True).encode()
        if len(whole) <= limit or self.summary == Summary():
            return whole
        fields = json.loads(whole)
        fields["packed"] = packed(json.dumps(fields.pop("summary"), separators=(",", ":")).encode())
        return min(whole, json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode(), key=len)

    @model_validator(mode="before")
    @classmethod
    def _unpacked(cls, data: Any) -> Any:
        """Take a packed summary for what it is."""
        if isinstance(data, dict) and isinstance(text := data.get("packed"), str):
            return {**{name: value for name, value in data.items() if name != "packed"}, "summary": unpacked(text)}
        return data


PACKED_LIMIT = 128 * 1024
"""Bytes that a packed summary may unpack to: whoever runs a pod writes it."""


def packed(data: bytes) -> str:
    """A summary as text of about a quarter of its size: termination messages are short, and JSON repeats its names."""
    return base64.b85encode(zlib.compress(data, 9)).decode()


def unpacked(text: str) -> Any:
    """The summary. Raises ValueError where the text is none, or would be too large."""
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b85decode(text), PACKED_LIMIT)
    except zlib.error as error:
        raise ValueError(f"the packed summary cannot be unpacked: {error}") from error
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError(f"the packed summary is cut short, or takes more than {PACKED_LIMIT} bytes")
    return read_outside(data)
