"""What a shard takes of the quota: an equal part on its own, what it is lent where there is an operator."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.support.bedrock_clock import ManualClock
from tests.support.stage_context import stage_context

from fabula_api.worker import Allowance, QuotaLease
from fabula_workloads.bedrock.quota import Rates
from fabula_workloads.bedrock.shard import open_caller
from fabula_workloads.runtime.progress import Post, Reporter

SPEC = {"source": {"uri": "x", "licenseAccepted": True}, "extraction": {"provider": "bedrock", "workers": 4}}


class Shard:
    """One of four, with a clock that jumps and a status server that answers as it is told."""

    def __init__(self, root: Path, post: Post | None) -> None:
        self.clock, self.now = ManualClock(), 0.0
        context = stage_context(root, "DatasetBuild", "extract", SPEC, "out", shards=4)
        self.reporter = Reporter(context.config, post=post, interval_seconds=0.001, clock=lambda: self.now)
        context.reporter = self.reporter
        self.caller = open_caller(
            context, rates=Rates(240, None), budget_usd=None, is_own=lambda call: True, finished=(), clock=self.clock
        )

    def a_minute(self, before: int = 60) -> float:
        """Calls a minute that the gate lets through."""
        go = threading.Event()
        for _ in range(before):
            assert self.caller.quota.enter(1, go)
        start = self.clock.now()
        for _ in range(30):
            assert self.caller.quota.enter(1, go)
        return 30 * 60 / (self.clock.now() - start)

    def starts_nothing(self) -> bool:
        """Whether no call starts within an hour."""
        over = threading.Event()
        end = self.clock.now() + 3600

        def look() -> None:
            if self.clock.now() > end:
                over.set()

        self.caller.quota._heartbeat = look
        return not self.caller.quota.enter(1, over)


def test_without_a_status_server_it_takes_an_equal_part(tmp_path: Path) -> None:
    assert Shard(tmp_path, None).a_minute() == pytest.approx(60, rel=0.05)


def test_before_the_operators_first_word_it_takes_nothing(tmp_path: Path) -> None:
    def nobody(body: bytes) -> Allowance:
        raise ConnectionRefusedError

    shard = Shard(tmp_path, nobody)
    assert shard.starts_nothing()
    shard.reporter.close()


def test_it_takes_what_it_is_lent_and_less_once_it_hears_nothing(tmp_path: Path) -> None:
    lease = QuotaLease(share=0.5, fallback_share=0.25, valid_seconds=30, ends_seconds=900, renew_seconds=60)
    shard = Shard(tmp_path, lambda body: Allowance(requests_per_minute=120, lease=lease))
    shard.reporter.update(done=0)
    shard.reporter.close()
    assert shard.a_minute() == pytest.approx(120, rel=0.05)
    shard.now = 31
    assert shard.a_minute() == pytest.approx(60, rel=0.05)
    shard.now = 901
    for _ in range(20):  # what it had saved up while it was lent more
        if shard.starts_nothing():
            return
    pytest.fail("it goes on with nothing lent")


def test_an_operator_that_knows_no_quota_bounds_it_by_the_spec(tmp_path: Path) -> None:
    shard = Shard(tmp_path, lambda body: Allowance())
    shard.reporter.update(done=0)
    shard.reporter.close()
    assert shard.a_minute() == pytest.approx(60, rel=0.05)
