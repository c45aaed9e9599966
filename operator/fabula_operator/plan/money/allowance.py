"""What a shard that reports may do next: its part of a quota, and the dollars it may have spent in all.

Pure: from the runs that pay, their pods and reports as values, and what shards hold so far, to the answer and what they
hold from then on. The parts themselves are worked out in `lending` and `quota`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fabula_api.bills import StageBill
from fabula_api.counts import CallCounts
from fabula_api.specs import Spec
from fabula_api.worker import Allowance, QuotaLease, StageReport
from fabula_operator.plan.money.lending import ENDS_SECONDS, Holding, Shard, believed, lend
from fabula_operator.plan.money.paid import payers
from fabula_operator.plan.money.quota import (
    Claim,
    Pool,
    claim_of,
    ended,
    grant,
    pool_of,
    stage_budget,
    stage_of,
    weight,
)
from fabula_operator.plan.money.quota_groups import QuotaGroup


@dataclass(frozen=True, slots=True)
class ShardPod:
    """A pod, as far as money goes."""

    child: str | None
    """Uid of the child that made it."""
    stage: str
    """With the judge, where it is one's."""
    index: int | None
    """Its shard; None where it has none."""
    phase: str
    created_at: datetime | None

    @property
    def over(self) -> bool:
        """Whether it makes no more calls."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PodReport:
    """A shard's last report, and the pod that it came from where its token said so."""

    body: StageReport
    pod: str | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """A run that may pay."""

    uid: str
    namespace: str
    spec: Spec
    reports: Sequence[PodReport] = ()
    bills: Sequence[StageBill] = ()
    at_work: tuple[str, ...] = ()
    """Its stages at work, by its status, each with the judge where it is one's."""


@dataclass(frozen=True, slots=True)
class Market:
    """All who draw on the same quotas."""

    buyers: Callable[[], Iterable[Buyer]]
    """The runs at work, whatever their kind."""
    pods: Callable[[str], Mapping[str, ShardPod]]
    """A run's pods by their names, by the run's uid."""
    groups: Sequence[QuotaGroup] = ()
    """Quotas that namespaces share."""
    answering_since: datetime | None = None
    """Since when this operator has lent; what was lent before, it does not know."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One report, which is among those that its run has told."""

    report: StageReport
    pod: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Books:
    """What is held of a quota, and what shards of the stage were granted of the run's dollars."""

    lent: Mapping[Shard, Holding] = field(default_factory=dict)
    granted: Mapping[int, float] = field(default_factory=dict)


def claimed(buyer: Buyer, asked: Asked, market: Market) -> Claim | None:
    """What the shard draws on; None for a stage that pays nobody."""
    return claim_of(
        buyer.uid, buyer.spec, stage_of(asked.report), _present(buyer, asked, market), buyer.namespace, market.groups
    )


def child_of(buyer: Buyer, asked: Asked, market: Market) -> str | None:
    """Uid of the child that the reporting pod is of; None where the pod is not known."""
    return _child(market.pods(buyer.uid), asked.pod)


def allow(buyer: Buyer, asked: Asked, claim: Claim, market: Market, books: Books) -> tuple[Allowance, Books]:
    """The answer to the shard, and the books from then on."""
    pool, lease, lent = _lease(buyer, asked, claim, market, books.lent)
    usd, granted = _dollars(buyer, asked, market, books.granted)
    allowance = Allowance(
        requests_per_minute=None if pool.requests is None else pool.requests * lease.share,
        tokens_per_minute=None if pool.tokens is None else pool.tokens * lease.share,
        lease=lease,
        budget_usd=usd,
    )
    return allowance, Books(lent, granted)


def _child(pods: Mapping[str, ShardPod], name: str | None) -> str | None:
    pod = None if name is None else pods.get(name)
    return None if pod is None else pod.child


def _present(buyer: Buyer, asked: Asked, market: Market) -> list[StageReport]:
    """Reports of the same child. A raised budget makes a new one: who ended before that, for want of dollars, is at
    work again."""
    pods = market.pods(buyer.uid)
    child = _child(pods, asked.pod)
    return [report.body for report in buyer.reports if child is None or _child(pods, report.pod) == child]


def _lease(
    buyer: Buyer, asked: Asked, claim: Claim, market: Market, lent: Mapping[Shard, Holding]
) -> tuple[Pool, QuotaLease, dict[Shard, Holding]]:
    """The quota that `claim` draws on, what of it is lent to the shard, and what all hold of it."""
    now, report = asked.now, asked.report
    claims = _claims(claim, market) if claim.quota.group else [claim]
    pool, shard = pool_of(claim, claims), (claim.run, claim.stage, report.shard)
    at_work = {(other.run, other.stage) for other in claims}
    others = {
        other: holding
        for other, holding in lent.items()
        if other != shard
        and (other[:2] in at_work or holding.is_live(now))
        and not _is_over(market.pods(other[0]), holding.pod)
    }
    since = market.answering_since or now
    young = (now - since).total_seconds() <= ENDS_SECONDS
    heard = {*others, shard}
    unknown = young and any(_has_unheard(market.pods(run), run, stage, heard, since) for run, stage in at_work)
    size = weight(report, claim.concurrency)
    held = believed(report.quota, lent.get(shard), young)
    lease, part = lend(held, size, others.values(), pool.shards, unknown, now)
    mine = {} if ended(report) else {shard: Holding(part, now, size, asked.pod)}
    return pool, lease, {**others, **mine}


def _is_over(pods: Mapping[str, ShardPod], name: str | None) -> bool:
    """Whether the pod that reported makes no more calls, as far as that is known."""
    if name is None:
        return False
    pod = pods.get(name)
    return pod is None or pod.over


def _has_unheard(pods: Mapping[str, ShardPod], run: str, stage: str, heard: set[Shard], since: datetime) -> bool:
    """Whether a stage has running pods, older than this operator's answers, that have not reported to it."""
    return any(
        pod.phase == "Running"
        and pod.index is not None
        and pod.stage == stage
        and (pod.created_at is None or pod.created_at < since)
        and (run, stage, pod.index) not in heard
        for pod in pods.values()
    )


def _claims(wanted: Claim, market: Market) -> list[Claim]:
    """All claims on the pool of `wanted`."""
    claims = []
    for buyer in market.buyers():
        bodies = [report.body for report in buyer.reports]
        for stage in buyer.at_work:
            claim = claim_of(buyer.uid, buyer.spec, stage, bodies, buyer.namespace, market.groups)
            if claim is not None and claim.pool == wanted.pool:
                claims.append(claim)
    # The status may not say yet that this stage has started.
    known = any((claim.run, claim.stage) == (wanted.run, wanted.stage) for claim in claims)
    return claims if known else [*claims, wanted]


def _dollars(
    buyer: Buyer, asked: Asked, market: Market, granted: Mapping[int, float]
) -> tuple[float | None, Mapping[int, float]]:
    """Dollars that the shard may have spent in all, None without a bound; and what all shards were granted.

    What shards have spent counts whichever child they were of, for it was spent on the same folder; that they ended
    counts only of the present one.
    """
    report, stage = asked.report, stage_of(asked.report)
    total = stage_budget(buyer.spec, stage, buyer.bills)
    if total is None:
        return None, granted
    spent = {
        report.body.shard: (calls := CallCounts.of(report.body.counts)).usd + calls.lost_usd
        for report in buyer.reports
        if stage_of(report.body) == stage
    }
    over = {report.shard for report in _present(buyer, asked, market) if stage_of(report) == stage and ended(report)}
    usd = grant(total, spent, granted, over, report.shard, payers(buyer.spec)[stage].shards)
    return usd, {**granted, report.shard: usd}
