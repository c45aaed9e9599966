"""A paid call: found, reserved, tried again, kept; and what stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.bedrock_clock import ManualClock
from tests.support.patience import SECONDS

from fabula_workloads.bedrock.breaker import Breaker
from fabula_workloads.bedrock.budget import Budget, BudgetReached
from fabula_workloads.bedrock.calls import Answer, Call, Caller, CallRecord, backoff
from fabula_workloads.bedrock.errors import Rejected, Transient
from fabula_workloads.bedrock.notes import Note, Notes
from fabula_workloads.bedrock.quota import QuotaGate, Rates
from fabula_workloads.runtime.failures import CredentialsRefused, TryAgain
from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.outcomes import Outcomes

THROTTLED = Transient("ProviderThrottled", "the provider turns calls away")
GONE = Transient("ProviderUnavailable", "the provider answers 503")
LOST = Transient("ProviderUnavailable", "the connection to the provider ended", lost=True)


class Bench:
    """A caller over a folder, with a clock that jumps."""

    def __init__(
        self,
        root: Path,
        limit: float | None = None,
        known: set[str] | None = None,
        unanswered: dict[str, int] | None = None,
        run: str = "run-1",
    ) -> None:
        self.clock = ManualClock()
        self.stopping = threading.Event()
        self.told: list[tuple[str | None, str]] = []
        calls, sent = open_store(f"file://{root}/calls"), open_store(f"file://{root}/sent")
        self.ledger = Ledger(calls)
        self.caller = Caller(
            ledger=Outcomes(calls, CallRecord),
            quota=QuotaGate(lambda: Rates(), self.clock),
            budget=Budget(lambda: limit, lambda: False),
            breaker=Breaker(self.clock, lambda reason, message: self.told.append((reason, message))),
            clock=self.clock,
            stopping=self.stopping,
            known=known or set(),
            notes=Notes(Outcomes(sent, Note), run, reply_seconds=60, now=lambda: self.clock.now()),
            unanswered=unanswered or {},
        )
        for times in (unanswered or {}).values():
            self.caller.usage.lose(times, times * 0.5)

    def make(self, send: Callable[[], Answer], call_id: str = "e-0-0-abc", usd: float = 0.5) -> CallRecord:
        return self.caller.make(Call(call_id, "m", "d", 100, usd), send)

    def note(self, call_id: str = "e-0-0-abc") -> dict[str, object] | None:
        assert self.caller.notes is not None
        note = self.caller.notes.ledger.get(call_id)
        return note and {"sent": note.sent, "usd": note.usd}


def answer() -> Answer:
    return Answer({"text": "hello"}, "request-1", tokens_in=10, tokens_out=20, quota_tokens=110, usd=0.25)


def failing(*failures: Exception) -> Callable[[], Answer]:
    """Fails with each of them in turn, and then answers."""
    left = list(failures)

    def send() -> Answer:
        if left:
            raise left.pop(0)
        return answer()

    return send


def unpaid() -> Answer:
    raise AssertionError("this call was paid for already")


def test_the_answer_is_kept_with_all_that_it_took(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    record = bench.make(answer)
    assert record == bench.caller.ledger.get("e-0-0-abc")
    assert bench.ledger.get("e-0-0-abc") == {
        "model": "m", "request": "d", "round": 0, "requestId": "request-1", "tokensIn": 10, "tokensOut": 20,
        "usd": 0.25, "lost": 0, "lostUsd": 0, "reply": {"text": "hello"},
    }  # fmt: skip
    assert bench.caller.usage.counts() == {
        "calls/paid": 1.0, "tokens/input": 10.0, "tokens/output": 20.0, "cost/usd": 0.25
    }  # fmt: skip


def test_a_call_that_an_earlier_start_paid_for_is_not_made_again(tmp_path: Path) -> None:
    first = Bench(tmp_path).make(answer)
    later = Bench(tmp_path, known={"e-0-0-abc"})
    assert later.make(unpaid) == first
    assert later.caller.usage.counts() == {"calls/saved": 1.0}


def test_transient_failures_are_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.make(failing(THROTTLED, GONE, GONE)).request_id == "request-1"
    assert len([seconds for seconds in bench.clock.waited if seconds >= 0]) >= 3


def test_the_provider_says_how_long_to_wait(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.make(failing(Transient("ProviderThrottled", "busy", retry_after=17)))
    assert bench.clock.now() >= 17


def test_backoff_is_spread_below_a_doubling_bound() -> None:
    for attempt, bound in enumerate([1, 2, 4, 8, 16, 32, 60, 60]):
        drawn = [backoff(attempt) for _ in range(200)]
        assert 0 <= min(drawn) < bound / 3 and bound * 2 / 3 < max(drawn) <= bound


def test_a_lost_call_counts_against_the_budget_at_its_worst(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limit=1.3)
    record = bench.make(failing(LOST))
    assert record.lost == 1 and bench.caller.usage.counts()["calls/lost"] == 1
    assert bench.caller.usage.usd == 0.25, "what is known to be paid"
    bench.make(answer, "e-0-1-abc")  # 0.75 of 1.3 is spent at most, 0.5 more still fits
    with pytest.raises(BudgetReached):
        bench.make(unpaid, "e-0-2-abc")


def killed() -> Answer:
    raise KeyboardInterrupt


def test_a_call_that_died_with_its_worker_is_counted_when_it_is_made_again(tmp_path: Path) -> None:
    """It may be on the bill: the note that it was sent is there, and no answer."""
    dying = Bench(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        dying.make(killed)
    assert dying.note() == {"sent": 1, "usd": 0.5}
    later = Bench(tmp_path, unanswered={"e-0-0-abc": 1})
    record = later.make(answer)
    assert (record.lost, record.lost_usd, record.usd) == (1, 0.5, 0.25)
    assert (later.caller.usage.lost, later.caller.usage.lost_usd) == (1, 0.5), "counted once"


@pytest.mark.parametrize(
    ("story", "failures", "sent"),
    [
        ("turned away, then told to stop", [THROTTLED], 0),
        ("lost, then told to stop", [LOST], 1),
        ("lost twice and turned away, then told to stop", [LOST, LOST, GONE], 2),
        ("lost, then killed in flight", [LOST, KeyboardInterrupt()], 2),
        ("refused credentials", [CredentialsRefused("no")], 0),
    ],
)
def test_the_note_says_what_may_be_on_the_bill(
    tmp_path: Path, story: str, failures: list[BaseException], sent: int
) -> None:
    bench, left = Bench(tmp_path), list(failures)

    def send() -> Answer:
        if len(left) == 1:
            bench.stopping.set()
        raise left.pop(0)

    with pytest.raises((TryAgain, KeyboardInterrupt, CredentialsRefused)):
        bench.make(send)
    assert bench.note() == {"sent": sent, "usd": 0.5}, story


def test_a_call_that_waits_for_the_quota_is_not_noted_as_sent(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.caller.quota = QuotaGate(lambda: Rates(requests=0), bench.clock, heartbeat=bench.stopping.set)
    with pytest.raises(TryAgain):
        bench.make(unpaid)
    assert bench.note() is None


def test_an_answer_that_was_kept_without_its_record_is_taken_and_is_no_loss(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limit=0.0, unanswered={"e-0-0-abc": 2})
    record = bench.caller.adopt(Call("e-0-0-abc", "m", "d", 100, 0.5), answer())
    assert (record.lost, record.usd) == (1, 0.25), "of two that were sent, one was answered"
    assert bench.caller.usage.lost == 1


def test_a_call_that_another_run_has_in_flight_is_not_sent_but_its_answer_taken(tmp_path: Path) -> None:
    """A build was deleted and applied again, or two are alike: both work over one folder."""
    ours, theirs = Bench(tmp_path, limit=0.6, run="run-2"), Bench(tmp_path, run="run-1")
    assert ours.caller.notes is not None
    ours.caller.notes.now = lambda: 0.0

    def send() -> Answer:
        looked = threading.Thread(target=lambda: records.append(ours.make(unpaid)))
        looked.start()
        asking.append(looked)
        while not ours.clock.waited:
            looked.join(0.01)
        return answer()

    asking: list[threading.Thread] = []
    records: list[dict[str, object]] = []
    record = theirs.make(send)
    asking[0].join(SECONDS)
    assert records == [record]
    usage = ours.caller.usage
    assert (usage.paid, usage.saved, usage.usd, usage.lost) == (1, 1, 0.25, 0)
    with pytest.raises(BudgetReached):
        ours.make(unpaid, "e-0-1-abc")  # 0.25 of 0.6 is spent, 0.5 more does not fit


def test_a_call_that_a_twin_answered_since_we_looked_is_not_made_again(tmp_path: Path) -> None:
    """A pod on a node out of reach was deleted by force: it goes on while its successor does the same work."""
    ours, twin = Bench(tmp_path), Bench(tmp_path)
    record = twin.make(answer)
    assert ours.make(unpaid) == record
    usage = ours.caller.usage
    assert (usage.paid, usage.saved, usage.usd, usage.lost, ours.clock.now()) == (1, 1, 0.25, 0, 0)


def test_a_call_that_a_living_twin_has_in_flight_is_awaited_and_one_of_a_dead_worker_is_not(tmp_path: Path) -> None:
    ours = Bench(tmp_path)
    twin = Bench(tmp_path)
    twin.clock.sleep(5)  # it sends after we have begun
    with pytest.raises(KeyboardInterrupt):
        twin.make(killed)
    record = ours.make(answer)
    assert ours.clock.now() >= 65, "its answer might have come"
    assert (record.lost, ours.caller.usage.lost) == (1, 1)
    later = Bench(tmp_path, unanswered={"e-0-1-abc": 1})
    with pytest.raises(KeyboardInterrupt):
        Bench(tmp_path).make(killed, "e-0-1-abc")
    record = later.make(answer, "e-0-1-abc")
    assert later.clock.now() == 0, "a worker that ended before we began answers no more"
    assert (record.lost, later.caller.usage.lost) == (1, 1), "counted once"


def test_an_answer_that_cannot_be_stored_may_be_on_the_bill(tmp_path: Path) -> None:
    def full() -> None:
        raise TryAgain("no space", "NoSpace")

    bench = Bench(tmp_path)
    with pytest.raises(TryAgain):
        bench.make(lambda: replace(answer(), attach=full))
    assert bench.note() == {"sent": 1, "usd": 0.5}


def test_a_call_of_another_run_whose_answer_never_comes_is_sent_once_its_time_is_over(tmp_path: Path) -> None:
    dying = Bench(tmp_path, run="run-1")
    with pytest.raises(KeyboardInterrupt):
        dying.make(killed)
    later = Bench(tmp_path, run="run-2")
    record = later.make(answer)
    assert later.clock.now() >= 60
    assert (record.lost, later.caller.usage.lost, later.caller.usage.lost_usd) == (1, 1, 0.5)


def test_a_call_that_another_run_could_not_send_is_sent_at_once(tmp_path: Path) -> None:
    theirs = Bench(tmp_path, run="run-1")
    with pytest.raises(CredentialsRefused):
        theirs.make(failing(CredentialsRefused("no")))
    ours = Bench(tmp_path, run="run-2")
    assert ours.make(answer).lost == 0 and ours.clock.now() == 0


def test_what_was_lost_for_a_request_that_is_then_refused_stays_on_the_books(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limit=1.3)
    with pytest.raises(Rejected) as refused:
        bench.make(failing(LOST, Rejected("ValidationException")))
    assert (refused.value.lost, refused.value.lost_usd) == (1, 0.5)
    assert bench.caller.usage.lost_usd == 0.5
    bench.make(answer, "e-0-1-abc")
    bench.make(answer, "e-0-2-abc")
    with pytest.raises(BudgetReached):
        bench.make(unpaid, "e-0-3-abc")


def test_no_call_is_made_that_could_pass_the_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limit=0.9)
    bench.make(answer, "e-0-0-a")
    bench.make(answer, "e-0-1-a")
    with pytest.raises(BudgetReached):
        bench.make(unpaid, "e-0-2-a")
    assert bench.caller.usage.usd == 0.5


def test_the_budget_waits_for_calls_in_flight_before_it_says_no() -> None:
    budget = Budget(lambda: 1.0, lambda: False)
    go = threading.Event()
    assert budget.reserve(0.6, go)
    allowed: list[bool] = []
    waiting = threading.Thread(target=lambda: allowed.append(budget.reserve(0.6, go)))
    waiting.start()
    budget.settle(0.6, 0.3)
    waiting.join(SECONDS)
    assert allowed == [True]


def test_a_refused_request_is_final_and_refused_credentials_end_the_shard(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(Rejected):
        bench.make(failing(Rejected("ValidationException")))
    with pytest.raises(CredentialsRefused):
        bench.make(failing(CredentialsRefused("no")))
    assert bench.make(answer).request_id == "request-1"


def test_the_breaker_opens_with_a_reason_and_closes_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.make(failing(*[GONE] * 7))
    reasons = [reason for reason, _ in bench.told]
    assert reasons[0] == "ProviderUnavailable" and reasons[-1] is None
    assert bench.told[0][1] == "the provider answers 503"


def test_an_outage_ends_the_shard_for_now(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(TryAgain) as error:
        bench.make(failing(*[THROTTLED] * 1000))
    assert error.value.reason == "ProviderThrottled" and error.value.exit_code == 75


def test_a_breaker_that_stays_open_gives_up_after_its_patience() -> None:
    clock = ManualClock()
    breaker = Breaker(clock, lambda reason, message: None, patience_seconds=900)
    go = threading.Event()

    def knock_in_vain() -> None:
        while entry := breaker.enter(go):
            breaker.failed(entry, "ProviderUnavailable", "the provider answers 503")

    with pytest.raises(TryAgain, match="no call went through for"):
        knock_in_vain()
    assert 900 <= clock.now() < 1100


def test_while_it_is_open_one_call_at_a_time_probes() -> None:
    clock = ManualClock()
    breaker = Breaker(clock, lambda reason, message: None)
    go = threading.Event()
    for _ in range(6):
        entry = breaker.enter(go)
        assert entry is not None
        breaker.failed(entry, "ProviderUnavailable", "503")
    before = clock.now()
    assert breaker.enter(go) and clock.now() - before >= 2
    second: list[object] = []
    stop = threading.Event()

    class Stopping(ManualClock):
        def wait(self, event: threading.Event, seconds: float) -> bool:
            stop.set()
            return True

    breaker._clock = Stopping()
    second.append(breaker.enter(stop))
    assert second == [None], "the probe is out: nobody else may call"


def test_a_request_that_only_itself_cannot_be_served_is_given_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    tries: list[int] = []

    def poisoned() -> Answer:
        tries.append(1)
        bench.make(answer, f"other-{len(tries)}")
        raise GONE

    with pytest.raises(Rejected, match="ProviderFailed"):
        bench.make(poisoned)
    assert len(tries) == 10


def test_told_to_stop(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.stopping.set()
    with pytest.raises(TryAgain) as error:
        bench.make(unpaid)
    assert error.value.reason == "Interrupted"
