"""Notes of calls that are on their way: how many tries may be on the bill, and that nobody else should send the same.

A note without a record is of a call that died with its worker, if that was of this run and ended before this one
began. If it is of another run over the same folder (one that was deleted meanwhile, or one that is alike), or of a
worker that nobody could end (its node is out of reach, and its pod was deleted by force), the call may still be in
flight, and its answer will do for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fabula_workloads.runtime.outcomes import Kept, Outcomes


class Note(Kept):
    """Of a call that is on its way, or whose worker died."""

    sent: int
    """How often it was sent."""
    usd: float
    """What each time costs at most."""
    run: str | None = None
    """Uid of the run; None: of this one."""
    until: float = 0.0
    """Until then its answer may come, in seconds since 1970."""


@dataclass
class SentElsewhere(Exception):
    """Another worker has sent this very call."""

    sent: int
    """How often."""
    until: float
    """Until then its answer may come, in seconds since 1970; 0 when it can come no more, but may be there."""


@dataclass
class Notes:
    """The notes of a stage's folder, as one run writes and reads them. Safe for many threads, each with its calls."""

    ledger: Outcomes[Note]
    run: str
    """Uid of the run."""
    reply_seconds: float = 0.0
    """Longest time from a call to the record of its answer."""
    now: Callable[[], float] = time.time
    given_up: set[str] = field(default_factory=set)
    """Calls of other workers whose answer never came."""
    _claimed: set[str] = field(default_factory=set)
    """Calls whose note is this worker's."""
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    def claim(self, call: str, sent: int, usd: float) -> None:
        """Note that a call is sent now, for the `sent`-th time. Raises SentElsewhere when another worker has sent it.

        That worker may have stored the answer since this one looked for it, so who catches that looks again.
        """
        if call not in self._claimed | self.given_up:
            if self.ledger.put_if_absent(call, self._note(sent, usd)):
                self._claimed.add(call)
                return
            other = self.ledger.get(call)
            if other is not None and other.sent:
                raise SentElsewhere(other.sent, self._answered_until(other))
        self.write(call, sent, usd)
        self._claimed.add(call)

    def write(self, call: str, sent: int, usd: float) -> None:
        """Note how many tries of a call may be on the bill, and what each of them costs at most."""
        self.ledger.put(call, self._note(sent, usd))

    def _answered_until(self, other: Note) -> float:
        """A worker of this run whose note is older than this worker is dead; one that still writes notes is not."""
        is_own = other.run is None or other.run == self.run
        return 0.0 if is_own and other.until - self.reply_seconds <= self._began else other.until

    def _note(self, sent: int, usd: float) -> Note:
        return Note(sent=sent, usd=usd, run=self.run, until=self.now() + self.reply_seconds)
