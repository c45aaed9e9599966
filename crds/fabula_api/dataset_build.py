"""DatasetBuild: from a source to a dataset of training samples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fabula_api.base import Count, SpecModel, StatusModel, Text
from fabula_api.pricing import Price
from fabula_api.shared_spec import Retries, RunSpec
from fabula_api.status import ArtifactStatus, RunStatus, Tally


class Target(SpecModel):
    samples: int | None = Field(None, ge=1)
    """Stop when this many samples exist. Which ones does not depend on workers or time."""


class Budget(SpecModel):
    usd: float | None = Field(None, gt=0)
    """Stop before the providers' bill passes this many dollars."""


class DatasetBuildSpec(RunSpec):
    """Builds a dataset of training samples from a source."""

    target: Target = Field(default_factory=Target)
    """When there is enough."""
    budget: Budget = Field(default_factory=Budget)
    """When it has cost enough."""
    prices: Annotated[dict[Text, Price], Field(max_length=32)] = Field(default_factory=dict)
    """Your prices by model id, in place of the list prices."""
    retries: Retries = Field(default_factory=Retries)
    """How often a shard is tried again."""
    dry_run: bool = False
    """Estimate calls, tokens, dollars and time from a sample of the source; spend nothing."""
    retry_failed: int = Field(0, ge=0)
    """Raise it to try again the items that failed for good; all others stay as they are."""


class TokenCount(StatusModel):
    input: Count = 0
    """Tokens sent."""
    output: Count = 0
    """Tokens received."""


class CallCount(StatusModel):
    paid: Count = 0
    """Calls that were paid for."""
    saved: Count = 0
    """Calls that a restarted shard found in the ledger and did not pay for again."""
    lost: Count = 0
    """Calls that may have been paid for although no answer came; the budget counts each at its worst."""


class StageBill(StatusModel):
    stage: Text
    """Stage that paid."""
    cost_usd: float = 0
    """Dollars."""
    input: Count = 0
    """Tokens sent."""
    output: Count = 0
    """Tokens received."""
    paid: Count = 0
    """Calls that were paid for."""
    saved: Count = 0
    """Calls that were found in the ledger."""
    lost: Count = 0
    """Calls that may have been paid for although no answer came."""
    lost_usd: float = 0
    """Dollars that those cost at most; not in `costUsd`."""


class BuildEstimate(StatusModel):
    """What a build would take, as its dry run has it from a sample of the source."""

    calls: Count = 0
    """Calls to the providers."""
    input_tokens: Count = 0
    """Tokens to send, by their characters."""
    output_tokens: Count = 0
    """Tokens to receive, where everything that fits is found."""
    usd: float | None = None
    """Dollars; not given where a price is not known."""
    minutes: float = 0
    """Time of the paid calls within quota and concurrency; pictures drawn by `diffusers` are not in it."""
    items: Annotated[dict[Text, Count], Field(max_length=16)] = Field(default_factory=dict)
    """What would be made at most, by the recipe's own kinds of items."""
    sampled: Count = 0
    """Items of the source that were looked at."""


class DatasetBuildStatus(RunStatus):
    items: list[Tally] = Field(default_factory=list, max_length=64)
    """What was counted, by the recipe's kinds of items, outcome and reason."""
    samples_by_split: Annotated[dict[str, Count], Field(max_length=8)] = Field(default_factory=dict)
    """How many samples are for training, and how many for validation."""
    tokens: TokenCount | None = None
    """Tokens of paid calls."""
    calls: CallCount | None = None
    """Calls to the providers."""
    bills: list[StageBill] = Field(default_factory=list, max_length=16)
    """What each stage that pays a provider has cost."""
    figures: Annotated[dict[Text, float], Field(max_length=32)] = Field(default_factory=dict)
    """Figures of the recipe, by name; its documentation has what they say."""
    cost_usd: float | None = None
    """Dollars spent so far; not given where calls were paid for whose price is not known."""
    estimate: BuildEstimate | None = None
    """What the last dry run found."""
    samples: Count | None = None
    """Samples in the artifact."""
    artifact: ArtifactStatus | None = None
    """The committed dataset."""
