"""Status of a FineTuneRun: its figures, its attempts and what they took, and what it left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fabula_api.base import Count, StatusModel, Text, Timestamp, Uri
from fabula_api.fine_tune_blocks import Estimate
from fabula_api.status import ArtifactStatus, RunStatus


class Metrics(StatusModel):
    """Figures of the last report."""

    step: Count | None = None
    """Optimizer steps done."""
    steps: Count | None = None
    """Optimizer steps in all."""
    epoch: float | None = None
    """Passes over the data so far."""
    loss: float | None = None
    """Training loss of the last logged step."""
    first_loss: float | None = None
    """Training loss of the first logged step."""
    validation_loss: float | None = None
    """Loss on the validation split at the last checkpoint."""
    grad_norm: float | None = None
    """Gradient norm before clipping."""
    learning_rate: float | None = None
    """Learning rate of the last step."""
    tokens_per_second_per_gpu: float | None = None
    """Tokens a second, divided by the ranks."""
    step_seconds: float | None = None
    """Seconds that a step usually takes."""
    samples_per_second: float | None = None
    """Samples a second, over all ranks."""
    data_wait: float | None = None
    """Share of the last step in which ranks waited for data, 0 to 1."""
    mfu: float | None = None
    """Model FLOPs utilisation, 0 to 1; absent on a CPU, in fp32, and where the GPU's peak is not known."""
    gpu_memory: float | None = None
    """Peak memory of a rank, in GiB."""
    unique_samples: Count | None = None
    """Samples of the training split that were seen at least once."""
    unique_share: float | None = None
    """Their share of the split, 0 to 1; samples left out as too long are never seen."""
    skipped_samples: Count | None = None
    """Samples left out: longer than `training.maxLength`, or bad with `training.badSamples: skip`."""


class CheckpointStatus(StatusModel):
    uri: Uri
    """Folder of the checkpoint."""
    step: Count
    """Step it was taken after."""
    digest: Text
    """Digest of its content."""
    committed_at: Timestamp
    """When its manifest was written."""


class Attempt(StatusModel):
    number: Count
    """1 for the first."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Suspended"]
    """How it stands."""
    reason: Text | None = None
    """Why it ended."""
    message: Text | None = None
    """What happened, in a sentence."""
    budget: Literal["infrastructure", "failure"] | None = None
    """Which budget its end was charged to."""
    started_at: Timestamp | None = None
    """When its pods were asked for."""
    finished_at: Timestamp | None = None
    """When its last pod ended."""
    duration: Text | None = None
    """Time between the two, as `2m10s`, once it is over."""
    resumed_from_step: Count | None = None
    """Step of the checkpoint it went on from."""
    gpus: Count | None = None
    """GPUs it held; 0 with `device: cpu`."""
    committed_step: Count | None = None
    """Step of the last checkpoint it committed."""
    committed_at: Timestamp | None = None
    """When that was."""
    last_step: Count | None = None
    """Last step it reported; the steps since the last checkpoint have to be repeated."""
    generation: Count | None = None
    """Generation of the spec it was started for; an edit after a failure starts with fresh budgets."""

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.state in ("Pending", "Running")


class GpuHours(StatusModel):
    used: float = 0
    """GPU hours of all attempts; ranks on CPUs are none."""
    wasted: float = 0
    """Of those, hours between the checkpoint that the next attempt goes on from and the attempt's end."""


ATTEMPTS_LISTED = 64
"""So many attempts a status lists, the last ones."""


class EarlierAttempts(StatusModel):
    count: Count = 0
    """How many; their numbers are 1 to this one."""
    gpu_hours: GpuHours = Field(default_factory=GpuHours)
    """GPU time of all of them."""
    generation: Count | None = None
    """Generation of the spec that the last of them was started for."""
    infrastructure: Count = 0
    """How many of that generation `retries.infrastructure` paid for."""
    failure: Count = 0
    """How many of that generation `retries.failure` paid for."""


class FineTuneRunStatus(RunStatus):
    own_conditions: ClassVar[Mapping[str, str]] = {"Healthy": "the watchdog objects to nothing"}
    estimate: Estimate | None = None
    """Memory and hours that the run is expected to need."""
    metrics: Metrics | None = None
    """Figures of the last report."""
    checkpoint: CheckpointStatus | None = None
    """Last committed checkpoint."""
    attempts: Annotated[list[Attempt], Field(max_length=ATTEMPTS_LISTED)] = Field(default_factory=list)
    """Starts of the group, the last ones."""
    earlier_attempts: EarlierAttempts | None = None
    """Those before them, in sum."""
    gpu_hours: GpuHours | None = None
    """GPU time."""
    cost_usd: float | None = None
    """Dollars for the GPU hours, where a price is given."""
    backend: Text | None = None
    """Kind of child, and why it was chosen."""
    adapter: ArtifactStatus | None = None
    """The committed adapter, in peft's format."""
    model: ArtifactStatus | None = None
    """The committed model, with `training.method: full`: a whole folder, which `model.uri` of another run may name."""
