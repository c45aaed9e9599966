"""DatasetBuild: from a source to a dataset of training samples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fabula_api.base import Count, SpecModel, StatusModel, Text
from fabula_api.bills import Billed
from fabula_api.pricing import Budget, Price
from fabula_api.shared_spec import Retries, RunSpec
from fabula_api.status import ArtifactStatus, RunStatus, Tally


class Target(SpecModel):
    samples: int | None = Field(None, ge=1)
    """Stop when this many samples exist. Which ones does not depend on workers or time."""


class DatasetBuildSpec(RunSpec):
    """Builds a dataset of training samples from a source."""

    target: Target = Field(default_factory=Target)
    """How many samples are enough; the build then stops."""
    budget: Budget = Field(default_factory=Budget)
    """How many dollars are enough; the build then stops and assembles what is there."""
    prices: Annotated[dict[Text, Price], Field(max_length=32)] = Field(default_factory=dict)
    """Your prices by model id, in place of the list prices."""
    retries: Retries = Field(default_factory=Retries)
    """How often a shard is tried again."""
    dry_run: bool = False
    """Estimate calls, tokens, dollars and time from a sample of the source; spend nothing."""
    retry_failed: int = Field(0, ge=0)
    """Raise it to try again the items that failed for good; all others stay as they are."""


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


class DatasetBuildStatus(Billed, RunStatus):
    items: list[Tally] = Field(default_factory=list, max_length=64)
    """What was counted, by the recipe's kinds of items, outcome and reason."""
    samples_by_split: Annotated[dict[str, Count], Field(max_length=8)] = Field(default_factory=dict)
    """How many samples are for training, and how many for validation."""
    figures: Annotated[dict[Text, float], Field(max_length=32)] = Field(default_factory=dict)
    """Figures of the recipe, by name; its documentation has what they say."""
    estimate: BuildEstimate | None = None
    """What the last dry run found."""
    samples: Count | None = None
    """Samples in the artifact."""
    artifact: ArtifactStatus | None = None
    """The committed dataset."""
