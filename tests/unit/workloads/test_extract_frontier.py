"""How far a target reaches: the same units for any number of shards, however they interleave, and none in vain."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_workloads.runtime.frontier import Frontier, needed

MOST = 4


class Shared:
    """What the shards share: the outcomes of ended units."""

    def __init__(self, amounts: list[int]) -> None:
        self.amounts, self.done = amounts, dict[str, int]()
        self.begun: list[int] = []
        self.lock, self.stopping = threading.Lock(), threading.Event()

    @staticmethod
    def key(position: int) -> str:
        return f"{position:08x}"

    def look(self, known: frozenset[str]) -> Mapping[str, int]:
        with self.lock:
            return {key: amount for key, amount in self.done.items() if key not in known}

    def shard(
        self, number: int, shards: int, wanted: int, dice: random.Random, patience: float = 60, most_begun: int = 10**6
    ) -> None:
        """One shard with two threads. All are told to stop when they have begun `most_begun` units together."""
        frontier = Frontier(
            wanted, MOST, self.look, self.stopping, poll_seconds=0.001, patience_seconds=patience
        )  # fmt: skip
        for key, amount in list(self.done.items()):
            if int(key, 16) % shards == number:
                frontier.ended(key, amount)
        pauses = {position: dice.choice((0, 0, 0.001)) for position in range(len(self.amounts))}

        def work(position: int) -> None:
            key = self.key(position)
            if key in self.done or not frontier.admit(position, key):
                return
            with self.lock:
                self.begun.append(position)
                if len(self.begun) >= most_begun:
                    self.stopping.set()
            threading.Event().wait(pauses[position])
            with self.lock:
                self.done[key] = self.amounts[position]
            frontier.ended(key, self.amounts[position])

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(work, range(number, len(self.amounts), shards)))


def run_all(shared: Shared, wanted: int, shards: int, seed: int, most_begun: int = 10**6) -> None:
    """All shards at once, begun in any order."""
    shared.stopping.clear()
    numbers = list(range(shards))
    random.Random(seed).shuffle(numbers)
    at_work = [
        threading.Thread(target=shared.shard, args=(one, shards, wanted, random.Random(seed + one), 60, most_begun))
        for one in numbers
    ]
    for one in at_work:
        one.start()
    for one in at_work:
        one.join()


def expected(amounts: list[int], wanted: int) -> list[int]:
    return list(needed(enumerate(amounts), wanted))


@given(st.lists(st.integers(0, MOST), max_size=30), st.integers(1, 40), st.integers(1, 5), st.integers(0, 9))
def test_any_shards_do_what_is_needed_and_nothing_else(amounts: list[int], wanted: int, shards: int, seed: int) -> None:
    shared = Shared(amounts)
    run_all(shared, wanted, shards, seed)
    assert sorted(shared.begun) == expected(amounts, wanted)


@given(
    st.lists(st.integers(0, MOST), min_size=5, max_size=30), st.integers(5, 40), st.integers(1, 4), st.integers(1, 4),
    st.integers(1, 10),
)  # fmt: skip
def test_stopped_and_gone_on_with_other_shards_and_a_higher_target(
    amounts: list[int], wanted: int, before: int, after: int, most_begun: int
) -> None:
    shared = Shared(amounts)
    run_all(shared, wanted, before, most_begun, most_begun)
    assert set(shared.begun) <= set(expected(amounts, wanted))
    run_all(shared, wanted, after, most_begun)
    assert sorted(shared.begun) == expected(amounts, wanted)
    run_all(shared, wanted + 3, before, most_begun)
    assert sorted(shared.begun) == expected(amounts, wanted + 3)


def test_needed_is_the_shortest_run_that_makes_the_amount() -> None:
    units = [("a", 2), ("b", 0), ("c", 3), ("d", 1)]
    assert list(needed(units, 5)) == ["a", "b", "c"]
    assert list(needed(units, 2)) == ["a"]
    assert list(needed(units, 99)) == list(needed(units, None)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("shards", [2, 3])
def test_a_shard_that_never_starts_is_not_waited_for_for_ever(shards: int) -> None:
    """Its part is done when it does start, and what is needed is done then, with little beside it."""
    amounts, wanted = [2] * 60, 40
    shared, dice = Shared(amounts), random.Random(1)
    for number in range(shards - 1):
        shared.shard(number, shards, wanted, dice, patience=0.01)
    shared.shard(shards - 1, shards, wanted, dice, patience=0.01)
    assert set(expected(amounts, wanted)) <= set(shared.begun)
    assert len(shared.begun) == len(set(shared.begun)) < len(amounts)


def test_told_to_stop_or_closed_it_admits_nothing() -> None:
    stopping = threading.Event()
    beats: list[int] = []
    frontier = Frontier(1, 1, lambda known: {}, stopping, lambda: beats.append(1), poll_seconds=0.001)
    assert frontier.admit(0, "0")
    waiting = threading.Timer(0.05, frontier.close)
    waiting.start()
    assert not frontier.admit(1, "1"), "it waits for the first, which may be enough"
    assert beats
    assert not frontier.admit(2, "2")
    stopping.set()
    assert not Frontier(1, 1, lambda known: {}, stopping).admit(0, "0")
