"""What a shard may take next: its part of the provider's quota, and of the run's dollars.

Pure. How a quota is divided among the shards of all builds that share it is in `lending`. Dollars are granted so that
all grants together never pass the budget, even though shards hear of them at different times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass

from fabula_api.bills import StageBill
from fabula_api.entries import instance
from fabula_api.quota import RequestQuota
from fabula_api.specs import Spec
from fabula_api.worker import StageReport
from fabula_operator.plan.money.paid import payers
from fabula_operator.plan.money.quota_groups import QuotaGroup

_ENDED = frozenset({"BudgetReached", "TargetReached"})


@dataclass(frozen=True, slots=True)
class Claim:
    """One run's paid stage at work."""

    run: str
    """Uid of the run."""
    stage: str
    """With the judge, where it is one's."""
    quota: RequestQuota
    at_work: int
    """Shards that have not ended."""
    concurrency: int = 1
    """Items that a shard has in hand."""
    payer: tuple[str, ...] = ()
    """Namespace, provider, region and model: what differs in one of them is never one quota."""
    declared: QuotaGroup | None = None
    """The operator's own word on the group."""

    @property
    def pool(self) -> tuple[str, ...]:
        """Claims with the same pool share one quota."""
        if self.declared is not None:
            return ("declared", self.declared.name)
        if self.quota.group:
            return ("group", self.quota.group, *self.payer)
        return ("run", self.run, self.stage)


@dataclass(frozen=True, slots=True)
class Pool:
    """What all claims on one quota come to."""

    requests: float | None
    """A minute; None where no build names a figure."""
    tokens: float | None
    shards: int
    """When all of them are at work."""


def claim_of(
    run: str,
    spec: Spec,
    stage: str,
    reports: Iterable[StageReport],
    namespace: str = "",
    groups: Iterable[QuotaGroup] = (),
) -> Claim | None:
    """What a build's stage at work draws on, among it the declared `groups`; None for a stage that pays nobody."""
    payer = payers(spec).get(stage)
    if payer is None:
        return None
    paid = payer.paid
    quota: RequestQuota = payer.value(paid.quota)
    who = (namespace, *(str(payer.value(field)) for field in (paid.when[0], paid.region, paid.model)))
    over = sum(ended(report) for report in reports if stage_of(report) == stage)
    declared = next((group for group in groups if group.covers(namespace, quota.group, *who[1:])), None)
    return Claim(run, stage, quota, max(1, payer.shards - over), payer.value(paid.concurrency), who, declared)


def stage_of(report: StageReport) -> str:
    """The stage that a shard's report is about, with the judge where it is one's."""
    return instance(report.stage, report.arm)


def ended(report: StageReport) -> bool:
    """Whether a shard's last report says that it takes nothing more."""
    if report.condition is not None and report.condition.reason in _ENDED:
        return True
    return report.total is not None and report.done >= report.total


def weight(report: StageReport, concurrency: int) -> float:
    """What a shard can use of an equal part, from its last report: its last items leave more and more of it unused."""
    if report.total is None:
        return 1.0
    return min(1.0, max(1, report.total - report.done) / concurrency)


def pool_of(claim: Claim, claims: Iterable[Claim]) -> Pool:
    """The pool that `claim` is in. Where builds of a namespace's group disagree, the smallest figure counts."""
    pool = [other for other in claims if other.pool == claim.pool] or [claim]
    if (declared := claim.declared) is not None:
        return Pool(declared.requests_per_minute, declared.tokens_per_minute, sum(sharer.at_work for sharer in pool))
    requests = [sharer.quota.requests_per_minute for sharer in pool if sharer.quota.requests_per_minute]
    tokens = [allowed for sharer in pool if (allowed := sharer.quota.tokens_allowed)]
    return Pool(min(requests, default=None), min(tokens, default=None), sum(sharer.at_work for sharer in pool))


def stage_budget(spec: Spec, stage: str, bills: Iterable[StageBill]) -> float | None:
    """Dollars that a paid stage may take in all; None without a bound. Where it has none of its own, it may take what
    the paid stages before it left of the budget, by the run's bills."""
    stages = payers(spec)
    payer = stages.get(stage)
    if payer is None or payer.budget_usd is None:
        return None
    if payer.limits_itself:
        return payer.limit_usd
    before = list(stages)[: list(stages).index(stage)]
    return max(0.0, payer.budget_usd - paid_for(bills, before))


def paid_for(bills: Iterable[StageBill], stages: Collection[str]) -> float:
    """Dollars that a run's stages may have taken: paid ones, and those of calls that were lost."""
    return sum(bill.cost_usd + bill.lost_usd for bill in bills if bill.stage in stages)


def grant(
    total: float, spent: Mapping[int, float], granted: Mapping[int, float], over: Set[int], shard: int, shards: int
) -> float:
    """Dollars that `shard` may have spent in all.

    `spent` and `granted` are what is known of each shard, `over` those that have ended. A shard never heard of may hold
    an equal part, which it takes when it starts, and no grant is below that: so a part that was never heard of, such as
    after a restart of the operator, is never given away twice.
    """
    held = 0.0
    for other in range(shards):
        if other == shard:
            continue
        used = spent.get(other, 0.0)
        held += used if other in over else max(used, granted.get(other, total / shards))
    used_by_shard = spent.get(shard, 0.0)
    at_work = max(1, shards - len(over - {shard}))
    fair = max(total / shards, used_by_shard + max(0.0, total - sum(spent.values())) / at_work)
    return max(used_by_shard, granted.get(shard, 0.0), min(fair, total - held))
