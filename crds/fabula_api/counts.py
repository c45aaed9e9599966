"""What the names of counts in a report or result say: items by outcome, and what calls to providers took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

from pydantic import ConfigDict, Field

from fabula_api.base import Record

SAMPLES = "sample/ok"
"""Samples of a dataset; of an evaluation those that are asked about."""
UNPARSEABLE = "text/unparseable"
"""Count of answers that cannot be read as what they should be; they are among `answer/ok`."""
BUDGET_REACHED = "BudgetReached"
"""Reason of what a budget left undone."""


class Counted(NamedTuple):
    """What one count is of: `kind/outcome`, or `kind/outcome/Reason`."""

    kind: str
    """Kind of items, by the stage's unit or name."""
    outcome: str
    reason: str | None = None

    @classmethod
    def parse(cls, name: str) -> Counted | None:
        """None for a name that is none of items."""
        kind, _, rest = name.partition("/")
        outcome, _, reason = rest.partition("/")
        return cls(kind, outcome, reason or None) if outcome else None

    @property
    def name(self) -> str:
        """As a report has it."""
        return f"{self.kind}/{self.outcome}" + (f"/{self.reason}" if self.reason else "")


def left(stage: str, why: str) -> str:
    """Name of the count of items that a stage did not begin."""
    return Counted(stage, "left", why).name


class CallCounts(Record):
    """What calls to providers took: of a shard with what earlier starts of it paid, or summed over shards."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore", frozen=True)

    paid: float = Field(0.0, alias="calls/paid")
    saved: float = Field(0.0, alias="calls/saved")
    """Found in the ledger, and not paid for again."""
    lost: float = Field(0.0, alias="calls/lost")
    """Without an answer, and perhaps paid for."""
    tokens_in: float = Field(0.0, alias="tokens/input")
    tokens_out: float = Field(0.0, alias="tokens/output")
    usd: float = Field(0.0, alias="cost/usd")
    lost_usd: float = Field(0.0, alias="cost/lostUsd")
    """What calls without an answer cost at most; not in `usd`."""
    throttled: float = Field(0.0, alias="calls/throttled")
    """Times that the provider turned a call away, in this start."""
    seconds: float = Field(0.0, alias="calls/seconds")
    """Until the answers, of this start's calls."""

    @classmethod
    def of(cls, counts: Mapping[str, float]) -> Self:
        """Those among a report's counts."""
        return cls.model_validate(counts)

    @property
    def any_call(self) -> bool:
        """Whether a provider was asked, or an answer of it was found."""
        return bool(self.paid or self.saved)

    def counts(self) -> dict[str, float]:
        """As a report has them; figures of 0 are left out."""
        return {name: value for name, value in self.model_dump(by_alias=True).items() if value}


_KINDS = frozenset(str(field.alias).partition("/")[0] for field in CallCounts.model_fields.values())


def is_item(name: str) -> bool:
    """Whether a count is of items, and none of calls."""
    counted = Counted.parse(name)
    return counted is not None and counted.kind not in _KINDS
