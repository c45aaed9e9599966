"""What a worker reports while it is at work, and what it is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from fabula_api.base import Name, StatusModel, Text
from fabula_api.fine_tune_status import CheckpointStatus

SHARDS = 1024
"""Most pods of one child: no spec asks for more."""
RESUMED_METRIC = "resumedFromStep"
"""Metric of a training report: the step of the checkpoint that the attempt went on from."""
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
