"""A quota lent to shards: never more than the whole at any moment, whatever is lost, and all of it soon after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.in_blocks import in_blocks
from tests.support.observations import NOW

from fabula_api.worker import Allowance, StageReport
from fabula_operator.handlers.allowances import answer
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.money.lending import ENDS_SECONDS, RENEW_SECONDS, SOON_SECONDS, VALID_SECONDS

RATE = 960
WORKERS = {"a": 4, "b": 2, "c": 10}


@dataclass
class Shard:
    """The worker's side: what it was told, and when it had asked."""

    build: str
    index: int
    starts: int = 0
    running: bool = False
    told: Allowance | None = None
    asked_at: datetime = NOW

    @property
    def pod(self) -> str:
        return f"{self.build}-{self.index}-{self.starts}"

    def share(self, now: datetime) -> float:
        if not self.running or self.told is None or self.told.lease is None:
            return 0.0
        return self.told.lease.share_after((now - self.asked_at).total_seconds())

    def report(self, now: datetime, done: int) -> StageReport:
        """Its report, with 9 items in all."""
        lease = self.told.lease if self.told else None
        part = lease.part_after((now - self.asked_at).total_seconds()) if lease else None
        return StageReport(stage="extract", shard=self.index, done=done, total=9, quota=part)


@dataclass
class Bench:
    """Three builds of one group, their shards, and an operator."""

    workers: Mapping[str, int] = field(default_factory=lambda: WORKERS)
    now: datetime = NOW
    version: int = 1
    cache: Cache = field(default_factory=Cache)
    reports: Reports = field(default_factory=Reports)
    builds: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shards = [Shard(build, index) for build, workers in self.workers.items() for index in range(workers)]
        for build, workers in self.workers.items():
            quota = {"requestsPerMinute": RATE, "group": "team"}
            self.builds[build] = {
                "apiVersion": "fabula.dev/v1alpha1", "kind": "DatasetBuild",
                "metadata": {"name": build, "namespace": "team", "uid": build, "resourceVersion": "1"},
                "spec": in_blocks("DatasetBuild", {
                    "source": {"uri": "x", "licenseAccepted": True},
                    "extraction": {"provider": "bedrock", "workers": workers, "quota": quota, "concurrency": 4},
                }),
                "status": {"state": "Running", "stages": [{"name": "extract", "state": "Running"}]},
            }  # fmt: skip
            self.cache.put(self.builds[build])

    def tell_build(self, build: str, **changes: Any) -> None:
        self.version += 1
        told = {**self.builds[build], **changes}
        self.cache.put({**told, "metadata": {**told["metadata"], "resourceVersion": str(self.version)}})

    def tell_pod(self, shard: Shard, phase: str) -> None:
        self.version += 1
        self.cache.put(
            {
                "kind": "Pod", "status": {"phase": phase},
                "metadata": {
                    "name": shard.pod, "namespace": "team", "uid": shard.pod, "resourceVersion": str(self.version),
                    "labels": {"fabula.dev/run-uid": shard.build, "fabula.dev/stage": "extract"},
                    "annotations": {"batch.kubernetes.io/job-completion-index": str(shard.index)},
                    "creationTimestamp": self.now.isoformat(),
                },
            }
        )  # fmt: skip

    def start(self, shard: Shard) -> None:
        shard.starts, shard.running, shard.told = shard.starts + 1, True, None
        self.tell_pod(shard, "Running")

    def die(self, shard: Shard, heard: bool) -> None:
        shard.running = False
        if heard:
            self.tell_pod(shard, "Failed")

    def post(self, shard: Shard, arrives: bool = True, answered: bool = True, done: int = 1) -> None:
        """A report of a shard; it or its answer may be lost."""
        if not arrives:
            return
        report = shard.report(self.now, done)
        self.reports.put(shard.build, report, shard.pod, self.now)
        told = answer(self.cache, self.reports, self.builds[shard.build], report, self.now, shard.pod)
        if answered:
            shard.told, shard.asked_at = Allowance.model_validate_json(told.model_dump_json(by_alias=True)), self.now

    def end(self, shard: Shard) -> None:
        self.post(shard, done=9)
        shard.running = False
        self.tell_pod(shard, "Succeeded")

    def restart_operator(self) -> None:
        self.reports = Reports()
        self.reports.answering_since(self.now)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def held(self) -> float:
        return sum(shard.share(self.now) for shard in self.shards)

    def settle(self, seconds: float) -> None:
        """Let all running shards report as they are asked to."""
        end = self.now + timedelta(seconds=seconds)
        due = {shard.pod: self.now for shard in self.shards if shard.running}
        while self.now < end:
            for shard in self.shards:
                if shard.running and due[shard.pod] <= self.now:
                    self.post(shard)
                    assert shard.told is not None and shard.told.lease is not None
                    due[shard.pod] = self.now + timedelta(seconds=shard.told.lease.renew_seconds)
            assert self.held() <= 1 + 1e-9
            self.wait(SOON_SECONDS)


class TestTheWholeIsLent:
    def test_shards_that_start_together_have_equal_parts_within_a_second(self) -> None:
        bench = Bench()
        for shard in bench.shards:
            bench.start(shard)
        bench.settle(1.5)
        assert [shard.share(bench.now) for shard in bench.shards] == pytest.approx([1 / 16] * 16)
        assert bench.shards[0].told is not None
        assert bench.shards[0].told.requests_per_minute == pytest.approx(RATE / 16)

    def test_one_shard_has_all_and_gives_it_up_to_those_that_come(self) -> None:
        bench = Bench()
        bench.start(bench.shards[0])
        bench.settle(2)
        assert bench.held() == 1
        for shard in bench.shards[1:]:
            bench.start(shard)
        # The one that has all is heard of after its renewal at the latest, and once more when it has less.
        bench.settle(RENEW_SECONDS[1] + 3 * SOON_SECONDS)
        assert [shard.share(bench.now) for shard in bench.shards] == pytest.approx([1 / 16] * 16)

    def test_what_ended_shards_had_goes_to_the_others(self) -> None:
        bench = Bench()
        for shard in bench.shards:
            bench.start(shard)
        bench.settle(2)
        for shard in bench.shards[4:]:
            bench.end(shard)
        bench.settle(RENEW_SECONDS[0] + SOON_SECONDS)
        assert [shard.share(bench.now) for shard in bench.shards[:4]] == pytest.approx([1 / 4] * 4)

    def test_a_shard_with_its_last_items_in_hand_leaves_what_it_cannot_use(self) -> None:
        bench = Bench()
        last, other = bench.shards[:2]
        for shard in (last, other):
            bench.start(shard)
        bench.settle(2)
        for _ in range(2):
            bench.post(last, done=8)
            bench.post(other)
        assert last.share(bench.now) == pytest.approx(0.25 / 1.25)
        assert other.share(bench.now) == pytest.approx(1 / 1.25)

    def test_a_pod_known_to_be_dead_holds_nothing(self) -> None:
        bench = Bench()
        for shard in bench.shards[:2]:
            bench.start(shard)
        bench.settle(2)
        bench.die(bench.shards[0], heard=True)
        bench.post(bench.shards[1])
        assert bench.shards[1].share(bench.now) == 1

    def test_a_shard_that_says_nothing_keeps_a_small_part_and_then_none(self) -> None:
        bench = Bench()
        silent, other = bench.shards[:2]
        for shard in (silent, other):
            bench.start(shard)
        bench.settle(2)
        bench.settle(VALID_SECONDS - 2.5)
        heard_at = bench.now
        bench.post(silent)
        while bench.now < heard_at + timedelta(seconds=ENDS_SECONDS + 1):
            bench.wait(5)
            bench.post(other)
            age = (bench.now - heard_at).total_seconds()
            kept = 1 / 2 if age <= VALID_SECONDS else 1 / 16 if age <= ENDS_SECONDS else 0
            assert silent.share(bench.now) == pytest.approx(kept)
            assert other.share(bench.now) == pytest.approx(1 - kept)

    def test_a_shard_that_was_cut_off_has_the_fallback_that_it_last_heard_of(self) -> None:
        bench = Bench()
        for build in ("b", "c"):
            bench.tell_build(build, status={"state": "Pending"})
        silent, other = bench.shards[:2]
        for shard in (silent, other):
            bench.start(shard)
        bench.settle(2)
        for build in ("b", "c"):
            bench.tell_build(build)
        bench.post(silent, answered=False)
        bench.wait(VALID_SECONDS + 1)
        bench.post(other)
        bench.post(other)
        assert (silent.share(bench.now), other.share(bench.now)) == (1 / 4, 3 / 4)

    def test_a_new_operator_lends_no_more_until_it_has_heard_of_all(self) -> None:
        bench = Bench()
        first, second, late = bench.shards[:3]
        for shard in (first, second):
            bench.start(shard)
        bench.settle(2)
        bench.wait(1)
        bench.restart_operator()
        bench.start(late)
        bench.post(first)
        bench.post(late)
        assert (first.share(bench.now), late.share(bench.now)) == (1 / 2, 0)
        bench.post(second)
        bench.settle(2)
        assert [shard.share(bench.now) for shard in (first, second, late)] == pytest.approx([1 / 3] * 3)


MOVES = st.tuples(
    st.sampled_from(["die", "die unheard", "end", "restart operator", "wait", *["start"] * 3, *["report"] * 8]),
    st.integers(0, 4),
    st.sampled_from([(True, True), (True, True), (True, False), (False, False)]),
    st.sampled_from([0.5, 2, 10, 31, 400, 901]),
)


class TestNeverMoreThanTheWhole:
    @settings(max_examples=examples(30))
    @given(st.integers(0, 5), st.lists(MOVES, min_size=40, max_size=60))
    def test_at_any_moment(self, at_first: int, moves: list[tuple[str, int, tuple[bool, bool], float]]) -> None:
        """Reports and answers get lost, shards come, end and die, operators are replaced, time passes."""
        bench = Bench({"a": 2, "b": 1, "c": 2})
        for shard in bench.shards[:at_first]:
            bench.start(shard)
        bench.settle(1)
        for move, pick, (arrives, answered), seconds in moves:
            shard = bench.shards[pick]
            if move == "start" and not shard.running:
                bench.start(shard)
            elif move == "wait":
                bench.wait(seconds)
            elif move == "restart operator":
                bench.wait(1)
                bench.restart_operator()
            elif not shard.running:
                continue
            elif move == "report":
                bench.post(shard, arrives, answered)
            elif move == "end":
                bench.end(shard)
            else:
                bench.die(shard, heard=move == "die")
            assert bench.held() <= 1 + 1e-9
