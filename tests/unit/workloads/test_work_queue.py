"""Work that shards share: all of it is done, by whoever is there, and each outcome is counted once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.memory_store import MemoryStore

from fabula_workloads.runtime.ledger import Ledger
from fabula_workloads.runtime.work_queue import (
    Heart,
    Holder,
    WorkQueue,
    counts_for,
    in_order,
    portion,
    share_of,
)

LEASE = 100.0
RUN, OTHER = "run-a", "run-b"


@dataclass
class Pod:
    """One start of a shard."""

    queue: WorkQueue
    me: Holder
    hands: list[str] = field(default_factory=list)
    left: bool = False
    made: set[str] = field(default_factory=set)


@dataclass
class World:
    """Shards of one stage over one store, with a clock that only the test moves."""

    items: list[str]
    shards: int
    store: MemoryStore = field(default_factory=MemoryStore)
    now: float = 0.0
    pods: dict[tuple[str, int], Pod] = field(default_factory=dict)
    worked: Counter[str] = field(default_factory=Counter)
    dead: int = 0

    def start(self, shard: int, run: str = RUN) -> Pod:
        me = Holder(run, self.shards, shard, start=f"s{len(self.store.files)}-{self.dead}")
        queue = WorkQueue(self.store, self.items, me, lease_seconds=LEASE, clock=lambda: self.now)
        self.pods[run, shard] = pod = Pod(queue, me)
        return pod

    def kill(self, shard: int, run: str = RUN) -> None:
        self.pods.pop((run, shard))
        self.dead += 1

    def pass_time(self, seconds: float) -> None:
        """With beats of those that live."""
        self.now += seconds
        for pod in self.pods.values():
            if not pod.left:
                pod.queue.beat()

    def step(self, pod: Pod, most: int) -> None:
        """End what is in hand, else take something, else see whether there is more."""
        if pod.hands:
            item = pod.hands.pop(0)
            self.worked[item] += 1
            if Ledger(self.store).put_if_absent(item, {"outcome": "ok", "by": pod.me.place}):
                pod.made.add(item)
            pod.queue.finished(item)
        elif not (taken := pod.queue.take(most)):
            if pod.queue.more() is False:
                pod.queue.release()
                pod.left = True
        else:
            pod.hands = taken

    @property
    def done(self) -> set[str]:
        return Ledger(self.store).ids()


def names(count: int) -> list[str]:
    return [f"item-{number:03}" for number in range(count)]


def test_a_shard_begins_with_its_share_and_helps_the_others_from_their_end() -> None:
    assert in_order(list("abcdefg"), 1, 3) == ["b", "e", "g", "f", "d", "c", "a"]
    assert sorted(in_order(names(7), 2, 3)) == names(7)


@pytest.mark.parametrize(
    ("free", "shards", "most", "expected"), [(50, 8, 16, 7), (50, 8, 4, 4), (3, 8, 4, 1), (1, 1, 9, 1)]
)
def test_near_the_end_nobody_takes_what_others_could_do(free: int, shards: int, most: int, expected: int) -> None:
    assert portion(free, shards, most) == expected


def test_a_slow_shard_keeps_nothing_but_what_it_has_in_hand() -> None:
    world = World(names(10), 2)
    slow, fast = world.start(0), world.start(1)
    world.step(slow, 1)
    while not fast.left and world.now < 50 * LEASE:
        world.step(fast, 1)
        world.pass_time(LEASE / 4)
    assert len(fast.made) == 9
    assert fast.left, "the slow one lives and will end what it holds"
    world.step(slow, 1)
    assert world.done == set(names(10))


def test_what_a_dead_shard_held_comes_back_after_the_lease_and_not_before() -> None:
    world = World(names(4), 2)
    world.start(0)
    world.step(world.pods[RUN, 0], 2)
    world.kill(0)
    other = world.start(1)
    for _ in range(4):
        world.step(other, 2)
    assert len(world.done) == 2
    assert other.queue.more() is None, "nobody knows yet whether it lives"
    world.pass_time(LEASE - 1)
    assert other.queue.more() is None
    world.pass_time(2)
    assert other.queue.more() is True
    for _ in range(6):
        world.step(other, 2)
    assert world.done == set(names(4))


def test_a_shard_that_starts_again_takes_back_at_once_what_it_had_in_hand() -> None:
    world = World(names(2), 1)
    world.step(world.start(0), 1)
    world.kill(0)
    again = world.start(0)
    while not again.left:
        world.step(again, 1)
    assert world.now == 0
    assert world.done == set(names(2))


def test_what_was_given_back_is_free_at_once() -> None:
    world = World(names(2), 2)
    stopped = world.start(0)
    world.step(stopped, 1)
    stopped.queue.release()
    world.kill(0)
    other = world.start(1)
    while not other.left:
        world.step(other, 1)
    assert world.done == set(names(2))


def test_what_another_run_holds_is_waited_for_and_not_left_to_it() -> None:
    world = World(names(2), 1)
    foreign, ours = world.start(0, OTHER), world.start(0)
    world.step(foreign, 1)
    for _ in range(2):
        world.step(ours, 1)
    for _ in range(8):
        world.pass_time(LEASE / 4)
        assert ours.queue.more() is None
    world.step(foreign, 1)
    assert ours.queue.more() is False
    assert world.done == set(names(2))


def test_a_beat_that_cannot_be_written_is_followed_by_the_next() -> None:
    import threading

    beats, enough = [0], threading.Event()

    def beat() -> None:
        beats[0] += 1
        if beats[0] == 1:
            raise OSError("no store")
        enough.set()

    with Heart(beat, lease_seconds=0.01):
        assert enough.wait(60)


@given(data=st.data(), count=st.integers(1, 24), shards=st.integers(1, 5), two_runs=st.booleans())
@settings(max_examples=examples(20), deadline=None)
def test_everything_is_done_and_counted_once_whoever_dies_when(
    data: st.DataObject, count: int, shards: int, two_runs: bool
) -> None:
    world = World(names(count), shards)
    places = [(run, shard) for run in ([RUN, OTHER] if two_runs else [RUN]) for shard in range(shards)]
    for run, shard in places:
        world.start(shard, run)
    for _ in range(data.draw(st.integers(0, 60))):
        run, shard = data.draw(st.sampled_from(places))
        pod = world.pods.get((run, shard))
        action = data.draw(st.sampled_from(["step", "step", "step", "kill", "time"]))
        if pod is None:
            world.start(shard, run)
        elif action == "kill" and not pod.left:
            world.kill(shard, run)
        elif action == "time":
            world.pass_time(LEASE / 4)
        elif not pod.left:
            world.step(pod, data.draw(st.integers(1, 4)))
    # From here on nobody dies, and whoever is dead starts again.
    for _ in range(4000):
        for run, shard in places:
            if (run, shard) not in world.pods:
                world.start(shard, run)
            if not (pod := world.pods[run, shard]).left:
                world.step(pod, 2)
        world.pass_time(LEASE / 8)
        if all(pod.left for pod in world.pods.values()):
            break
    assert all(pod.left for pod in world.pods.values())
    assert world.done == set(world.items)
    if not world.dead:
        assert set(world.worked.values()) == {1}, "nothing is done twice while all live"
    for run in dict.fromkeys(run for run, _ in places):
        counted = Counter(
            item
            for shard in range(shards)
            for item, outcome in Ledger(world.store).items()
            if counts_for(me := Holder(run, shards, shard), share_of(world.items, me), item, outcome["by"])
        )
        assert counted == Counter(world.items)
