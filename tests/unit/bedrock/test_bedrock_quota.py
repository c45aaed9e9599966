"""The quota gate: what a shard may start, when, and how it slows down and recovers."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bedrock_clock import ManualClock

from fabula_workloads.bedrock.quota import QuotaGate, Rates, TokenBucket

GO = threading.Event()


def test_an_empty_bucket_fills_with_time() -> None:
    clock = ManualClock()
    bucket = TokenBucket(clock)
    bucket.set_rate(600)
    assert bucket.seconds_until(50) == pytest.approx(5)
    clock.sleep(5)
    assert bucket.seconds_until(50) == 0
    bucket.take(50)
    assert bucket.seconds_until(10) == pytest.approx(1)


def test_a_call_larger_than_ten_seconds_of_the_share_gets_its_turn() -> None:
    clock = ManualClock()
    bucket = TokenBucket(clock)
    bucket.set_rate(600)
    assert bucket.seconds_until(5_000) == pytest.approx(500)
    clock.sleep(500)
    assert bucket.seconds_until(5_000) == 0


def test_what_is_not_used_is_saved_up_for_ten_seconds_only() -> None:
    clock = ManualClock()
    bucket = TokenBucket(clock)
    bucket.set_rate(600)
    bucket.seconds_until(1)
    clock.sleep(3600)
    assert bucket.seconds_until(100) == 0
    bucket.take(100)
    assert bucket.seconds_until(1) > 0


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 900)), min_size=1, max_size=40),
    st.integers(600, 60_000),
    st.integers(1, 600),
)
def test_never_more_than_the_quota_in_any_stretch(calls: list[tuple[int, int]], tokens: int, requests: int) -> None:
    clock = ManualClock()
    gate = QuotaGate(lambda: Rates(requests, tokens), clock)
    started: list[tuple[float, int]] = []
    for reserved, _ in calls:
        assert gate.enter(reserved, GO)
        started.append((clock.now(), reserved))
    for first in range(len(started)):
        for last in range(first, len(started)):
            seconds = started[last][0] - started[first][0]
            largest = max(amount for _, amount in started)
            spent = sum(amount for _, amount in started[first : last + 1])
            assert spent <= tokens * (seconds + 10) / 60 + 2 * largest + 1
            assert last - first + 1 <= requests * (seconds + 10) / 60 + 2


def test_what_a_call_did_not_use_is_there_for_the_next() -> None:
    clock = ManualClock()
    gate = QuotaGate(lambda: Rates(None, 600), clock)
    gate.enter(100, GO)
    before = clock.now()
    gate.settle(reserved=100, used=10)
    gate.enter(90, GO)
    assert clock.now() - before < 0.5


def test_a_new_share_counts_from_the_next_call_on() -> None:
    clock = ManualClock()
    rates = [Rates(6, None)]
    gate = QuotaGate(lambda: rates[0], clock)
    gate.enter(1, GO)
    gate.enter(1, GO)
    slow = clock.now()
    rates[0] = Rates(600, None)
    gate.enter(1, GO)
    gate.enter(1, GO)
    assert clock.now() - slow < 1 < slow


def test_throttling_slows_down_and_time_heals() -> None:
    clock = ManualClock()
    gate = QuotaGate(lambda: Rates(60, None), clock)

    def seconds_for(calls: int) -> float:
        start = clock.now()
        for _ in range(calls):
            gate.enter(1, GO)
        return clock.now() - start

    usual = seconds_for(20)
    for _ in range(5):
        gate.throttled()
        clock.sleep(2)
    seconds_for(10)  # what was saved up while waiting
    assert seconds_for(10) > usual * 0.7
    clock.sleep(200)
    seconds_for(10)
    assert seconds_for(20) == pytest.approx(usual, rel=0.1)


def test_a_stop_ends_the_wait() -> None:
    stopping = threading.Event()
    stopping.set()
    assert not QuotaGate(lambda: Rates(1, 1), ManualClock()).enter(1_000, stopping)


def test_it_beats_while_it_waits() -> None:
    beats: list[float] = []
    clock = ManualClock()
    gate = QuotaGate(lambda: Rates(1, None), clock, heartbeat=lambda: beats.append(clock.now()))
    gate.enter(1, GO)
    assert len(beats) >= 10, "a minute's wait asks for a new share every few seconds"
