"""Which start of a run may write to its folder: the newest. Every other is told so before its next write.

A start announces itself under its run, attempt and node, in the first free place. So an attempt fences the former ones,
and a pod that its controller made anew fences the one it replaces, which a lost node may still be running. Runs do not
fence each other: one that is deleted and made again begins at attempt 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabula_workloads.runtime.failures import Overtaken
from fabula_workloads.runtime.store import Store

_FOLDER = "attempts"
_RUN_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Announced:
    """One start, as it is written in the store."""

    attempt: int
    node: int
    turn: int
    """1 for the attempt's first start on that node."""


class Fence:
    """The starts of one run, as one of them sees them."""

    def __init__(self, store: Store, run: str, attempt: int, node: int = 0) -> None:
        """`store` is rooted at the run's `checkpoints` folder; `run` is the run's uid."""
        self._store, self._run = store, run
        self._start = Announced(attempt, node, turn=1)

    @property
    def writer(self) -> str:
        """Name of the folder that this start writes its files to, and no other start does."""
        return self._writer(self._start)

    def writer_of(self, node: int) -> str:
        """That of another node's newest start in this attempt."""
        turns = [start.turn for start in self._starts() if (start.attempt, start.node) == (self._start.attempt, node)]
        return self._writer(Announced(self._start.attempt, node, max(turns, default=1)))

    def former(self, writer: str) -> bool:
        """Whether a folder was written by a start of this run that this one has overtaken."""
        return any(
            self._writer(start) == writer
            for start in self._starts()
            if start.attempt < self._start.attempt or (start.node == self._start.node and start.turn < self._start.turn)
        )

    def enter(self) -> None:
        """Announce this start. Raises Overtaken when a later attempt was announced already."""
        self.ensure_current()
        attempt, node = self._start.attempt, self._start.node
        turns = [start.turn for start in self._starts() if (start.attempt, start.node) == (attempt, node)]
        turn = max(turns, default=0) + 1
        while not self._store.write_if_absent(f"{_FOLDER}/{self._run}/{attempt:06d}/{node}/{turn:04d}", b""):
            turn += 1
        self._start = Announced(attempt, node, turn)

    def ensure_current(self) -> None:
        """Raise Overtaken when a later start was announced: this one may write nothing more."""
        mine = self._start
        starts = self._starts()
        if (latest := max((start.attempt for start in starts), default=0)) > mine.attempt:
            raise Overtaken(f"attempt {mine.attempt} was overtaken by attempt {latest} and writes nothing more")
        turns = [start.turn for start in starts if (start.attempt, start.node) == (mine.attempt, mine.node)]
        if max(turns, default=0) > mine.turn:
            raise Overtaken(f"attempt {mine.attempt} was started again on this node; this start writes nothing more")

    def _writer(self, start: Announced) -> str:
        again = f".{start.turn}" if start.turn > 1 else ""
        return f"attempt-{start.attempt}-{self._run[:_RUN_CHARACTERS]}{again}"

    def _starts(self) -> list[Announced]:
        folder = f"{_FOLDER}/{self._run}"
        starts = []
        for entry in self._store.list(folder):
            attempt, node, turn = entry.path.removeprefix(f"{folder}/").split("/")
            starts.append(Announced(int(attempt), int(node), int(turn)))
        return starts
