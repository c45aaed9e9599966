"""What calls cost: as an item's outcome carries it, and added up over a shard."""

from __future__ import annotations

from dataclasses import dataclass

from fabula_api.counts import CallCounts
from fabula_workloads.runtime.outcomes import Kept


class UsageRecord(Kept):
    """The calls of one item, as its outcome carries them."""

    calls: int = 1
    lost: int = 0
    """Calls that may have been paid for although no answer came."""
    lost_usd: float = 0.0
    """What those cost at most."""
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


@dataclass
class Usage:
    """What calls cost, those of earlier starts included."""

    paid: int = 0
    saved: int = 0
    lost: int = 0
    """Calls that may have been paid for although no answer came."""
    lost_usd: float = 0.0
    """What those cost at most."""
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    throttled: int = 0
    """Times that the provider turned a call away, in this start."""
    waited: float = 0.0
    """Seconds that this start's calls took until their answer."""

    def add(self, record: UsageRecord) -> None:
        """Count what one or several calls cost."""
        self.paid += record.calls
        self.lost += record.lost
        self.lost_usd += record.lost_usd
        self.tokens_in += record.tokens_in
        self.tokens_out += record.tokens_out
        self.usd += record.usd

    def lose(self, calls: int, usd: float) -> None:
        """Count calls without an answer, with what they cost at most; negative figures take them back."""
        self.lost += calls
        self.lost_usd += usd

    def record(self) -> UsageRecord:
        """As an item's outcome carries it."""
        return UsageRecord(
            calls=self.paid,
            lost=self.lost,
            lost_usd=round(self.lost_usd, 9),
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            usd=round(self.usd, 9),
        )

    def counts(self) -> dict[str, float]:
        """As a report carries it; figures of 0 are left out."""
        return CallCounts(
            paid=self.paid,
            saved=self.saved,
            lost=self.lost,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            usd=round(self.usd, 9),
            lost_usd=round(self.lost_usd, 9),
            throttled=self.throttled,
            seconds=round(self.waited, 3),
        ).counts()
