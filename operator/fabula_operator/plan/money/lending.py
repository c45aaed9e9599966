"""How an account's quota is lent to the shards at work, so that all parts together never pass the whole.

Pure. A part is lent for a short while and renewed with each report. What a shard may still hold counts until it has
said that it holds less, or until its time is over: a lost reply, a shard that is cut off or one that died leave quota
unused for a while, and never let others take it twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fabula_api.worker import QuotaLease, QuotaPart

VALID_SECONDS = 30.0
"""So long a shard keeps its part without hearing from the operator."""
ENDS_SECONDS = 900.0
"""So long it then keeps what it would have if all shards were at work."""
SOON_SECONDS, RENEW_SECONDS = 0.25, (1.0, 10.0)
"""Between two reports while shards wait for their parts; at least and at most, once all have theirs.

One that has to give something up says at once that it has, since others wait for it.
"""
_REPORTS_PER_SECOND = 50
"""Of all shards of a pool that has settled."""
_SAME = 1e-6


Shard = tuple[str, str, int]
"""Uid of the run, its stage with the judge where it is one's, and index."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a shard may hold at most."""

    part: QuotaPart
    heard_at: datetime
    weight: float = 1.0
    """What it can use of an equal part: less than 1 once its last items are in hand."""
    pod: str | None = None
    """The pod that reported, where its token says so."""

    def share(self, now: datetime) -> float:
        """Its part at this time."""
        silent = now - self.heard_at
        if silent <= timedelta(seconds=VALID_SECONDS):
            return self.part.share
        return self.part.fallback_share if silent <= timedelta(seconds=ENDS_SECONDS) else 0.0

    def is_live(self, now: datetime) -> bool:
        """Whether it was heard of lately, and so has its part in the division."""
        return now - self.heard_at <= timedelta(seconds=VALID_SECONDS)


def believed(said: QuotaPart | None, lent: Holding | None, others_unknown: bool) -> QuotaPart | None:
    """What a shard that says it holds `said` can hold: never more than it was lent.

    What the operator before this one lent is not known, so while it may still hold, the shard's word is taken for it.
    """
    if said is None or (lent is None and not others_unknown):
        return None
    if lent is None:
        return said
    return QuotaPart(
        share=min(said.share, lent.part.share), fallback_share=min(said.fallback_share, lent.part.fallback_share)
    )


def lend(
    held: QuotaPart | None, weight: float, others: Iterable[Holding], expected: int, others_unknown: bool, now: datetime
) -> tuple[QuotaLease, QuotaPart]:
    """The answer to a shard of a `weight` that holds `held`, and what it may hold from now on.

    `others` are the other shards of the pool, `expected` is how many there are when all of them work. Each live shard
    gets the same part for its weight, but never more than the others leave; where an operator before this one may have
    lent something to shards that are `others_unknown`, nobody gets more than it has.
    """
    known = list(others)
    live = [other for other in known if other.is_live(now)]
    taken = sum(other.share(now) for other in known)
    has = held or QuotaPart(share=0.0, fallback_share=0.0)
    whole = weight + sum(other.weight for other in live)
    fair = weight / whole
    share = min(fair, has.share if others_unknown else max(0.0, 1.0 - taken))
    fallback = min(share, 1 / max(expected, 1 + len(live)))
    if has.share > share + _SAME:
        renew = 0.0
    else:
        mine = abs(share - fair) < _SAME and abs(has.share - share) < _SAME
        settled = mine and all(abs(other.part.share - other.weight / whole) < _SAME for other in live)
        renew = _renew_seconds(1 + len(live)) if settled else SOON_SECONDS
    lease = QuotaLease(
        share=share, fallback_share=fallback, valid_seconds=VALID_SECONDS, ends_seconds=ENDS_SECONDS,
        renew_seconds=renew,
    )  # fmt: skip
    # The reply may be lost, so it keeps what it says it has until it says otherwise.
    return lease, QuotaPart(share=max(has.share, share), fallback_share=max(has.fallback_share, fallback))


def _renew_seconds(live: int) -> float:
    """News travel with reports, so shards that share a quota report often, and less so where they are many."""
    least, most = RENEW_SECONDS
    return most if live == 1 else min(most, max(least, live / _REPORTS_PER_SECOND))
