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
from fabula_workloads.runtime.pace import Beat, Pace, Stopwatch, faster_without, share
from fabula_workloads.runtime.shares import Holder, counts_for, in_order, portion, share_of
from fabula_workloads.runtime.work_queue import Heart, WorkQueue

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
    work: float = 0.0
    """Of each item, where shards tell it."""

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
            pod.queue.finished(item, self.work)
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


def pace(rate: float, hands: int = 1, longest: float = 1.5) -> Pace:
    return Pace(hands=hands, rate=rate, mean=1, longest=longest)


@pytest.mark.parametrize(
    ("situation", "free", "mine", "others", "expected"),
    [
        ("as fast as the others", 1, pace(1), [pace(1)] * 7, False),
        ("half as fast, one is left", 1, pace(0.5), [pace(1)] * 7, True),
        ("half as fast, and they begin the last one a long item later", 10, pace(0.5), [pace(1)] * 7, True),
        ("half as fast, and much is left", 11, pace(0.5), [pace(1)] * 7, False),
        ("half as fast, and another shard has seen a longer item", 11, pace(0.5), [pace(1, longest=2)] * 7, True),
        ("faster than they", 1, pace(2), [pace(1)] * 7, False),
        ("a tenth as fast with one other", 9, pace(0.1), [pace(1)], True),
        ("nobody else is heard of", 1, pace(0.5), [], False),
        ("they do two side by side", 1, pace(0.5), [pace(1, hands=2)] * 7, False),
    ],
)
def test_what_a_slow_shard_leaves_to_others(
    situation: str, free: int, mine: Pace, others: list[Pace], expected: bool
) -> None:
    assert faster_without(free, mine, others) is expected, situation


def test_a_slow_shard_takes_a_smaller_portion_and_a_fast_one_no_larger() -> None:
    assert share(pace(0.5), [pace(1), pace(1), pace(1)]) == pytest.approx(0.5 * 4 / 3.5)
    assert share(pace(3), [pace(1)]) == share(None, [pace(1)]) == share(pace(0.1), [pace(1, hands=8)]) == 1
    assert (portion(50, 8, 16, 0.5), portion(3, 8, 16, 0.1)) == (4, 1)


def test_a_pace_is_of_items_with_the_same_number_in_hand() -> None:
    watch = Stopwatch()
    assert watch.pace is None
    watch.holds(2)
    for work, seconds in ((10, 4), (30, 4)):
        watch.ended(work, seconds)
    assert watch.pace == Pace(hands=2, rate=10, mean=20, longest=30)
    assert watch.item_seconds == 4
    watch.holds(1)
    assert watch.pace is None
    watch.ended(20, 5)
    assert watch.pace == Pace(hands=1, rate=4, mean=20, longest=30)


@pytest.mark.parametrize("told", [None, 3, {"beat": 1}, {"beat": 1, "pace": {"hands": 1, "rate": 0}}, {"pace": "fast"}])
def test_a_beat_without_a_pace_that_can_be_used_is_a_beat(told: object) -> None:
    assert Beat.pace_in(told) is None


def run(world: World, quarters: list[int]) -> float:
    """Seconds until all is done, where each shard ends what it has in hand every so many quarters of a lease."""
    due = list(quarters)
    while not all(pod.left for pod in world.pods.values()):
        world.pass_time(LEASE / 4)
        for shard, each in enumerate(quarters):
            pod = world.pods[RUN, shard]
            due[shard] -= 1
            if pod.hands and due[shard] <= 0:
                world.step(pod, 1)
            if not pod.hands and not pod.left:
                world.step(pod, 1)
                due[shard] = each
    assert world.done == set(world.items)
    return world.now


def test_nobody_waits_for_what_a_slow_shard_took_last() -> None:
    took = {}
    for work in (0.0, 7.0):
        world = World(names(18), 3, work=work)
        for shard in range(3):
            world.start(shard)
        took[work] = run(world, [16, 2, 2])
    assert took[0.0] > LEASE / 4 * 32, "as long as two of the slow shard's items"
    assert took[7.0] < LEASE / 4 * 20


def test_what_faster_shards_do_not_take_is_done_by_the_slow_one() -> None:
    world = World(names(5), 2, work=7.0)
    slow, fast = world.start(0), world.start(1)
    world.step(fast, 1)
    world.pass_time(LEASE / 4)
    world.step(fast, 1)  # it lives on, and takes nothing more
    for _ in range(2):
        world.step(slow, 1)
        for _ in range(4):
            world.pass_time(LEASE / 4)
        world.step(slow, 1)
    assert len(world.done) == 3
    looks = 0
    while not slow.hands:
        world.step(slow, 1)
        world.pass_time(LEASE / 4)
        looks += 1
    assert looks == 5, "it waited as long as it takes for an item"
    while not slow.left:
        world.step(slow, 1)
        world.pass_time(LEASE / 4)
    assert world.done == set(world.items)


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


@given(
    data=st.data(), count=st.integers(1, 24), shards=st.integers(1, 5), two_runs=st.booleans(),
    work=st.sampled_from([0.0, 5.0]),
)  # fmt: skip
@settings(max_examples=examples(20), deadline=None)
def test_everything_is_done_and_counted_once_whoever_dies_when(
    data: st.DataObject, count: int, shards: int, two_runs: bool, work: float
) -> None:
    world = World(names(count), shards, work=work)
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
