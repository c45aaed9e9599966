"""Notes of calls that are on their way: how many tries may be on the bill, and that nobody else should send the same.

A note without a record is of a call that died with its worker, if it is this run's. If it is another run's over the
same folder (one that was deleted meanwhile, or one that is alike), the call may still be in flight, and its answer will
do for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fabula_workloads.runtime.ledger import Ledger


@dataclass
class SentElsewhere(Exception):
    """Another run has sent this very call."""

    sent: int
    """How often."""
    until: float
    """Until then its answer may come, in seconds since 1970."""


@dataclass
class Notes:
    """The notes of a stage's folder, as one run writes and reads them. Safe for many threads, each with its calls."""

    ledger: Ledger
    run: str
    """Uid of the run."""
    reply_seconds: float = 0.0
    """Longest time from a call to the record of its answer."""
    now: Callable[[], float] = time.time
    given_up: set[str] = field(default_factory=set)
    """Calls of other runs whose answer never came."""

    def claim(self, call: str, sent: int, usd: float) -> None:
        """Note that a call is sent now, for the `sent`-th time. Raises SentElsewhere when another run has sent it."""
        if self.ledger.put_if_absent(call, self._note(sent, usd)):
            return
        other = self.ledger.get(call) or {}
        is_own = str(other.get("run", self.run)) == self.run
        if not is_own and other["sent"] and call not in self.given_up:
            raise SentElsewhere(int(other["sent"]), float(other["until"]))
        self.write(call, sent, usd)

    def write(self, call: str, sent: int, usd: float) -> None:
        """Note how many tries of a call may be on the bill, and what each of them costs at most."""
        self.ledger.put(call, self._note(sent, usd))

    def _note(self, sent: int, usd: float) -> dict[str, object]:
        return {"sent": sent, "usd": usd, "run": self.run, "until": round(self.now() + self.reply_seconds)}
