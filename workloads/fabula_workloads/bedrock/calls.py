"""One paid call: looked up in the ledger first, then reserved, sent, kept, and only then used.

The answer is stored before anything is made of it, so a crash in between costs nothing: the next start finds it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fabula_workloads.bedrock.breaker import Breaker
from fabula_workloads.bedrock.budget import Budget
from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.bedrock.errors import Rejected, Transient
from fabula_workloads.bedrock.notes import Notes, SentElsewhere
from fabula_workloads.bedrock.quota import QuotaGate
from fabula_workloads.bedrock.refusals import PROVIDER_FAILED, Refusals
from fabula_workloads.bedrock.usage import Usage, UsageRecord
from fabula_workloads.runtime.failures import TryAgain, WorkerError
from fabula_workloads.runtime.outcomes import Kept, Outcomes

_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 60.0
_TRIES_OF_ONE_CALL = 10
_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """What is about to be paid for."""

    id: str
    """Stable over restarts, and another when the request is another: it ends in the request's digest."""
    model: str
    """As the provider calls it."""
    request: str
    """Digest of what is asked."""
    tokens: float
    """Tokens that the provider reserves: input and longest reply."""
    usd: float
    """Dollars it may cost at most."""
    round: int = 0
    """Of `retryFailed`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and what it took."""

    reply: dict[str, Any]
    """What is kept of it."""
    request_id: str
    tokens_in: int = 0
    tokens_out: int = 0
    quota_tokens: float = 0
    """Tokens in the count of the provider's quota."""
    usd: float = 0.0
    attach: Callable[[], None] = lambda: None
    """Stores what the record points to; called before the record is stored."""


class CallRecord(Kept):
    """A call that was paid for, as the ledger has it."""

    model: str
    request: str
    """Digest of what was asked."""
    round: int = 0
    """Of `retryFailed` in which it was asked."""
    request_id: str
    """The provider's name for it."""
    tokens_in: int
    tokens_out: int
    usd: float
    lost: int = 0
    """Tries before it that may be on the bill."""
    lost_usd: float = 0.0
    reply: dict[str, Any]
    """What is kept of the reply, by whoever asked."""


def usage_of(record: CallRecord) -> UsageRecord:
    """What one call cost."""
    return UsageRecord(
        calls=1,
        lost=record.lost,
        lost_usd=record.lost_usd,
        tokens_in=record.tokens_in,
        tokens_out=record.tokens_out,
        usd=record.usd,
    )


Send = Callable[[], Answer]
"""Asks the provider and does nothing else: a WorkerError of it is taken for the provider's word."""


@dataclass
class _Tries:
    """The tries of one call. The note says how many of them may be on the bill, whenever the worker dies."""

    call: Call
    lost: int
    """Tries without an answer that may have been carried out, those of earlier starts included."""
    notes: Notes | None

    def begin(self) -> None:
        """The call is about to be sent. Raises SentElsewhere when another worker has sent it."""
        if self.notes is not None:
            self.notes.claim(self.call.id, self.lost + 1, self.call.usd)

    def end(self, *, lost: bool) -> None:
        """It had no answer, or was turned away."""
        self.lost += lost
        if not lost and self.notes is not None:
            self.notes.write(self.call.id, self.lost, self.call.usd)


@dataclass
class Caller:
    """Makes calls for all threads of a shard. `usage` starts with what earlier starts had paid."""

    ledger: Outcomes[CallRecord]
    quota: QuotaGate
    budget: Budget
    breaker: Breaker
    clock: Clock
    stopping: threading.Event
    usage: Usage = field(default_factory=Usage)
    known: set[str] = field(default_factory=set)
    """Ids of the calls that earlier starts paid for."""
    notes: Notes | None = None
    """Where a call is noted before it is sent: one that has a note and no record died with its worker."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """Ids of such calls of earlier starts, and how often each was sent; they are in `usage` as lost."""
    refusals: Refusals | None = None
    """What was refused so far; None where nobody asks."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, call: Call, send: Send) -> CallRecord:
        """The call's record: from the ledger, or else paid for now and kept.

        Raises BudgetReached before a call that could pass the budget, Rejected for a request that the provider will
        never take, TryAgain when told to stop or when the provider is gone, and the failures of `classify`.
        """
        if call.id in self.known and (record := self.ledger.get(call.id)) is not None:
            with self._lock:
                self.usage.saved += 1
            return record
        while True:
            try:
                return self._pay(call, send)
            except SentElsewhere as other:
                if (record := self._answer_of(other, call)) is not None:
                    return record

    def _pay(self, call: Call, send: Send) -> CallRecord:
        if not self.budget.reserve(call.usd, self.stopping):
            raise self._interrupted()
        before = self.unanswered.get(call.id, 0)
        tries, usd = _Tries(call, before, self.notes), 0.0
        try:
            answer = self._send(call, send, tries)
            usd = answer.usd
        except Rejected as rejected:
            with self._lock:
                self.usage.lose(tries.lost - before, (tries.lost - before) * call.usd)
            if self.refusals is not None and rejected.what != PROVIDER_FAILED:
                self.refusals.note(rejected.what, rejected.said)
            raise Rejected(rejected.what, tries.lost, tries.lost * call.usd) from rejected
        finally:
            # A call without an answer may be on the bill, so the budget counts it at its worst.
            self.budget.settle(call.usd, usd + (tries.lost - before) * call.usd)
        return self._keep(call, answer, tries.lost)

    def adopt(self, call: Call, answer: Answer) -> CallRecord:
        """The record of a call whose answer an earlier start had kept, but died before it wrote the record."""
        return self._keep(call, answer, max(0, self.unanswered.get(call.id, 0) - 1))

    def _keep(self, call: Call, answer: Answer, lost: int) -> CallRecord:
        answer.attach()
        record = CallRecord(
            model=call.model,
            request=call.request,
            round=call.round,
            request_id=answer.request_id,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            usd=round(answer.usd, 9),
            lost=lost,
            lost_usd=round(lost * call.usd, 9),
            reply=answer.reply,
        )
        self.ledger.put(call.id, record)
        before = self.unanswered.get(call.id, 0)
        with self._lock:
            self.usage.add(usage_of(record))
            self.usage.lose(-before, -before * call.usd)
        return record

    def _answer_of(self, other: SentElsewhere, call: Call) -> CallRecord | None:
        """The record of a call that another worker sent, once it is there; None if its answer can come no more."""
        assert self.notes is not None
        before = self.unanswered.get(call.id, 0)
        if other.until > self.notes.now():
            _log.info("call %s is in flight for another worker over this folder; its answer is awaited", call.id)
        while (record := self.ledger.get(call.id)) is None:
            if self.notes.now() >= other.until:
                self.notes.given_up.add(call.id)
                more = max(0, other.sent - before)
                self.unanswered[call.id] = before + more
                self._count_lost(more, call)
                return None
            if self.clock.wait(self.stopping, _LOOK_SECONDS):
                raise self._interrupted()
        self._count_lost(-before, call)
        with self._lock:
            self.usage.add(usage_of(record))
            self.usage.saved += 1
        self.budget.settle(0, record.usd + record.lost_usd)
        return record

    def _count_lost(self, calls: int, call: Call) -> None:
        with self._lock:
            self.usage.lose(calls, calls * call.usd)
        self.budget.settle(0, calls * call.usd)

    def _send(self, call: Call, send: Send, tries: _Tries) -> Answer:
        others = self.breaker.successes
        for attempt in range(_TRIES_OF_ONE_CALL):
            if (entry := self.breaker.enter(self.stopping)) is None:
                raise self._interrupted()
            if not self.quota.enter(call.tokens, self.stopping):
                self.breaker.abandoned(entry)
                raise self._interrupted()
            try:
                tries.begin()
                sent = self.clock.now()
                answer = send()
            except Transient as failure:
                tries.end(lost=failure.lost)
                # A call that may have run has its tokens taken; one that was turned away has not.
                self.quota.settle(call.tokens, call.tokens if failure.lost else 0)
                if failure.reason == "ProviderThrottled":
                    self.quota.throttled()
                    with self._lock:
                        self.usage.throttled += 1
                self.breaker.failed(entry, failure.reason, failure.what)
                last = failure
            except Rejected:
                tries.end(lost=False)
                self.quota.settle(call.tokens, 0)
                self.breaker.succeeded()
                raise
            except BaseException as failure:
                if isinstance(failure, WorkerError):  # the provider's word; of any other end nobody knows
                    tries.end(lost=False)
                self.quota.settle(call.tokens, 0)
                self.breaker.abandoned(entry)
                raise
            else:
                self.quota.settle(call.tokens, answer.quota_tokens)
                self.breaker.succeeded()
                with self._lock:
                    self.usage.waited += self.clock.now() - sent
                return answer
            if self.clock.wait(self.stopping, backoff(attempt, last.retry_after)):
                raise self._interrupted()
        if self.breaker.successes > others:  # the provider is well: it is this request that it cannot carry out
            raise Rejected(PROVIDER_FAILED)
        raise TryAgain(f"{last.what}; one call failed {_TRIES_OF_ONE_CALL} times", last.reason)

    @staticmethod
    def _interrupted() -> TryAgain:
        return TryAgain("told to stop between two paid calls; what is paid for stays", "Interrupted")


def backoff(attempt: int, at_least: float = 0.0) -> float:
    """Seconds before try `attempt + 2`: full jitter below a doubling bound, on top of what the provider asks for."""
    bound = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2**attempt)
    return at_least + random.uniform(0, bound)  # noqa: S311 - spreads callers, hides nothing
