"""What holds for any calls in any order: quota, retries, backoff and breaker."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bedrock import Bucket
from tests.support.bedrock_clock import ManualClock

from fabula_workloads.bedrock.breaker import Breaker, Entry, RetryBudget
from fabula_workloads.bedrock.calls import backoff
from fabula_workloads.bedrock.quota import QuotaGate, Rates

GO = threading.Event()
LARGEST = 1_000
CALLS = st.tuples(st.integers(0, 7), st.integers(1, LARGEST), st.floats(0, 1), st.booleans())


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(8 * LARGEST, 60_000), st.integers(8, 600),
    st.lists(CALLS, max_size=60),
)  # fmt: skip
def test_the_provider_lets_in_all_that_the_gates_let_through(
    firsts: list[float], tokens: int, requests: int, calls: list[tuple[int, int, float, bool]]
) -> None:
    """Several shards share a quota evenly. Calls take at most what was reserved, end in any order or late."""
    clock = ManualClock()
    rates = Rates(requests / len(firsts), tokens / len(firsts))
    gates = [QuotaGate(lambda: rates, clock, first=first) for first in firsts]
    asked, reserved = Bucket(requests, clock), Bucket(tokens, clock)
    in_flight: list[tuple[QuotaGate, int, float]] = []
    for shard, amount, used, ends in calls:
        gate = gates[shard % len(gates)]
        assert gate.enter(amount, GO)
        assert asked.take(1) and reserved.take(amount)
        in_flight.append((gate, amount, used * amount))
        if ends:
            gate, amount, took = in_flight.pop(0)
            reserved.settle(amount, took)
            gate.settle(amount, took)


@given(st.lists(st.booleans(), max_size=300))
def test_retries_are_a_share_of_the_successes(ends: list[bool]) -> None:
    budget, retries = RetryBudget(), 0
    for success in ends:
        if success:
            budget.earn()
        else:
            retries += budget.spend()
        assert retries <= 10 + 0.2 * sum(ends)
    for _ in range(5):
        budget.earn()
    assert budget.spend(), "a provider that is well again is trusted again"


@given(st.integers(0, 9), st.floats(0, 120))
def test_nobody_comes_back_before_the_provider_asks_to_nor_much_later(attempt: int, at_least: float) -> None:
    assert at_least <= backoff(attempt, at_least) <= at_least + min(60, 2**attempt)


def test_a_bound_is_used_in_full() -> None:
    """Full jitter: the waits of many callers are spread evenly from none to the bound, at any attempt."""
    for attempt, bound in ((0, 1), (3, 8), (9, 60)):
        drawn = sorted(backoff(attempt) / bound for _ in range(2_000))
        assert [drawn[at] for at in (200, 1_000, 1_800)] == pytest.approx([0.1, 0.5, 0.9], abs=0.07)


class Impatient(ManualClock):
    """Says that a stop came as soon as somebody waits."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return True


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "enter", "fail", "fail", "answer", "abandon", "wait"]), st.integers(0, 9)),
        max_size=120,
    )
)
def test_while_it_is_open_there_is_never_more_than_one_probe(moves: list[tuple[str, int]]) -> None:
    clock = Impatient()
    told: list[str | None] = [None]
    breaker = Breaker(clock, lambda reason, message: told.append(reason), patience_seconds=1e9)
    waiting: list[Entry] = []
    probes: list[Entry] = []
    for move, pick in moves:
        is_open = told[-1] is not None
        if move == "wait":
            clock.sleep(130)
            continue
        if move == "enter":
            if (entry := breaker.enter(GO)) is None:
                assert is_open, "a closed breaker holds up nobody"
                continue
            waiting.append(entry)
            if is_open:
                probes.append(entry)
        elif waiting:
            entry = waiting.pop(pick % len(waiting))
            probes = [one for one in probes if one is not entry]
            if move == "fail":
                breaker.failed(entry, "ProviderUnavailable", "503")
            elif move == "abandon":
                breaker.abandoned(entry)
            else:
                breaker.succeeded()
                assert told[-1] is None, "an answer closes it"
                probes = []
        assert len(probes) <= 1
