"""A shard's `Caller`: its share of quota and budget from the operator's replies, its books from the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from fabula_api.pricing import Price, price_of
from fabula_api.provider import longest_reply_seconds
from fabula_api.worker import StageCondition
from fabula_workloads.bedrock.breaker import Breaker, Reason
from fabula_workloads.bedrock.budget import Budget
from fabula_workloads.bedrock.calls import Caller, CallRecord, usage_of
from fabula_workloads.bedrock.clock import Clock, WallClock
from fabula_workloads.bedrock.notes import Note, Notes
from fabula_workloads.bedrock.quota import QuotaGate, Rates
from fabula_workloads.bedrock.refusals import Refusals
from fabula_workloads.bedrock.usage import Usage, UsageRecord
from fabula_workloads.runtime.context import StageContext
from fabula_workloads.runtime.failures import ConfigInvalid
from fabula_workloads.runtime.outcomes import Outcomes
from fabula_workloads.runtime.progress import Reporter

CALLS, SENT = "calls", "sent"
"""Folders of the stage that hold the ledger of paid calls, and the notes of those that were sent."""
_SECONDS_TO_KEEP = 5
_UNKNOWN = Price(output_quota_weight=5)
"""Of a model that nobody priced, an application inference profile say: it is rather sent too little than too much."""
_log = logging.getLogger(__name__)


def known_price(model: str, overrides: dict[str, Price], budget_usd: float | None) -> Price:
    """The model's price. Raises ConfigInvalid where a budget is to be kept and nobody knows what a call costs."""
    price = price_of(model, overrides)
    if price is None and budget_usd is not None:
        raise ConfigInvalid(
            f"budget.usd is {budget_usd:g}, but no price of {model} is known; give it in spec.prices", "PriceUnknown"
        )
    if price is None:
        _log.warning(
            "no price of %s is known, so its cost is not counted, and each received token is taken to draw 5 from the "
            "quota; give inputPerMillion, outputPerMillion and outputQuotaWeight in spec.prices under this very name",
            model,
        )
    return price or _UNKNOWN


def open_caller(
    context: StageContext,
    *,
    rates: Rates,
    budget_usd: float | None,
    is_own: Callable[[str], bool],
    finished: Iterable[UsageRecord],
    asked: str = "the spec",
    provider: str = "Bedrock",
    max_tokens: int = 0,
    clock: Clock | None = None,
) -> Caller:
    """The caller of this shard, for replies of at most `max_tokens`.

    `rates` and `budget_usd` are the whole build's. Without a status server the shard takes an equal share of them; with
    one it takes what it is lent, and waits until it is. `is_own` tells from a call's id whether it belongs to an
    unfinished item of this shard, `provider` and `asked` name who is called, model and place for people, and `finished`
    are the usage records of its finished ones: together they are what was spent already.
    """
    clock, shards, reporter = clock or WallClock(), context.config.shards, context.reporter
    ledger, sent = Outcomes(context.store.child(CALLS), CallRecord), Outcomes(context.store.child(SENT), Note)
    known = {call for call in ledger.ids() if is_own(call)}
    usage = _paid_before(finished, ledger, known)
    unanswered = dict[str, int]()
    for call in sent.ids():
        if is_own(call) and call not in known and (note := sent.get(call)) is not None:
            unanswered[call] = note.sent
            usage.lose(note.sent, note.sent * note.usd)

    def limit() -> float | None:
        return _share(reporter.allowance.budget_usd, budget_usd, shards)

    def tell(reason: Reason | None, message: str) -> None:
        if reason is not None:
            _log.warning("%s: %s", reason, message)
        reporter.tell(None if reason is None else StageCondition(reason=reason, message=message[:1000]))

    return Caller(
        ledger=ledger,
        quota=QuotaGate(lambda: _current_rates(reporter, rates, shards), clock, heartbeat=reporter.update),
        budget=Budget(limit, lambda: reporter.allowance.budget_used_up, usage.usd + usage.lost_usd),
        breaker=Breaker(clock, tell),
        clock=clock,
        stopping=context.stopping,
        usage=usage,
        known=known,
        notes=Notes(sent, context.config.run.uid, longest_reply_seconds(max_tokens) + _SECONDS_TO_KEEP),
        unanswered=unanswered,
        refusals=Refusals(provider, asked, lambda: usage.paid > 0 or bool(ledger.ids()), shards),
    )


def _paid_before(finished: Iterable[UsageRecord], ledger: Outcomes[CallRecord], known: Iterable[str]) -> Usage:
    """What the items that are finished took, and those calls that are answered of the others."""
    usage = Usage()
    for record in finished:
        usage.add(record)
        usage.saved += record.calls
    for call in known:
        if (kept := ledger.get(call)) is not None:
            usage.add(usage_of(kept))
    return usage


def _current_rates(reporter: Reporter, rates: Rates, shards: int) -> Rates:
    """What this shard may take now: what it is lent, and else its share of `rates`, the whole build's."""
    told, held = reporter.allowance, reporter.quota()
    if told.lease is not None and held is not None:
        part = held.share / told.lease.share if told.lease.share else 0.0
        return Rates(_part_of(told.requests_per_minute, part), _part_of(told.tokens_per_minute, part))
    if reporter.connected and not reporter.heard:
        # Shards of other builds may have all of the quota, which only the operator knows.
        return Rates(0, 0)
    return Rates(
        _share(told.requests_per_minute, rates.requests, shards),
        _share(told.tokens_per_minute, rates.tokens, shards),
    )


def _part_of(rate: float | None, part: float) -> float | None:
    return None if rate is None else rate * part


def _share(told: float | None, whole: float | None, shards: int) -> float | None:
    """What the operator says, else an equal share of the spec's figure; None where there is no bound."""
    if told is not None:
        return told
    return None if whole is None else whole / shards
