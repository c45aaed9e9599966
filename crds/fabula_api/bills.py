"""What a run has paid its providers, as part of a status, whatever its kind."""

from __future__ import annotations

from pydantic import Field

from fabula_api.base import Count, StatusModel, Text


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
    """Stage that paid, with the judge where it is one's."""
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


class Billed(StatusModel):
    """Fields of the status of a kind that pays providers."""

    tokens: TokenCount | None = None
    """Tokens of paid calls."""
    calls: CallCount | None = None
    """Calls to the providers."""
    bills: list[StageBill] = Field(default_factory=list, max_length=16)
    """What each stage that pays a provider has cost."""
    cost_usd: float | None = None
    """Dollars spent so far; not given where calls were paid for whose price is not known."""
