"""The circuit breaker: when a provider does not answer, all callers of a shard wait together, and one of them looks."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fabula_workloads.bedrock.clock import Clock
from fabula_workloads.runtime.failures import TryAgain

Reason = Literal["ProviderThrottled", "ProviderUnavailable"]
Tell = Callable[[Reason | None, str], None]
"""Called with the reason when the breaker opens, and with None when it closes."""

_FAILURES_IN_A_ROW = 6
_FIRST_SECONDS, _LONGEST_SECONDS = 5.0, 120.0
_LOOK_SECONDS = 5.0
_RETRIES_AT_FIRST, _RETRIES_AT_MOST, _RETRIES_PER_SUCCESS = 10.0, 30.0, 0.2


@dataclass
class RetryBudget:
    """Retries are a share of the successes, so that a provider in trouble is not asked more but less."""

    left: float = _RETRIES_AT_FIRST

    def earn(self) -> None:
        """A call went through."""
        self.left = min(_RETRIES_AT_MOST, self.left + _RETRIES_PER_SUCCESS)

    def spend(self) -> bool:
        """Whether one more retry is within the budget."""
        self.left -= 1
        if self.left < 0:
            self.left = 0
            return False
        return True


class Entry:
    """That one call may pass; the breaker is told with it how the call ended."""


class Breaker:
    """Closed: calls pass. Open: all wait, for twice as long each time; then one call probes. Safe for many threads."""

    def __init__(self, clock: Clock, tell: Tell, patience_seconds: float = 900.0) -> None:
        """After `patience_seconds` without any answer `enter` raises TryAgain: the pod is started again later."""
        self._clock = clock
        self._tell = tell
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._retries = RetryBudget()
        self.successes = 0
        """Calls that were answered."""
        self._in_a_row = 0
        self._trips = 0
        self._open_since: float | None = None
        self._reopens_at = 0.0
        self._probe: Entry | None = None
        """The call that looks while it is open."""
        self._reason: Reason = "ProviderUnavailable"
        self._message = ""

    def enter(self, stopping: threading.Event) -> Entry | None:
        """Wait until calls may pass. None when told to stop. Raises TryAgain when it has been open for too long."""
        while not stopping.is_set():
            with self._lock:
                now = self._clock.now()
                if self._open_since is None:
                    return Entry()
                if now - self._open_since > self._patience:
                    raise TryAgain(
                        f"{self._message}; no call went through for {round(now - self._open_since)} s", self._reason
                    )
                if now >= self._reopens_at and self._probe is None:
                    self._probe = Entry()
                    return self._probe
                seconds = max(self._reopens_at - now, 0.5)
            if self._clock.wait(stopping, min(seconds, _LOOK_SECONDS)):
                break
        return None

    def succeeded(self) -> None:
        """A call was answered."""
        with self._lock:
            was_open, self._open_since = self._open_since is not None, None
            self._in_a_row = self._trips = 0
            self._probe = None
            self._retries.earn()
            self.successes += 1
        if was_open:
            self._tell(None, "")

    def failed(self, entry: Entry, reason: Reason, message: str) -> None:
        """A call was not answered and would be tried again."""
        with self._lock:
            self._in_a_row += 1
            within = self._retries.spend()
            probe = self._ended(entry)
            if self._open_since is not None and not probe:
                return  # it was in flight when the breaker opened
            if not probe and within and self._in_a_row < _FAILURES_IN_A_ROW:
                return
            now = self._clock.now()
            self._open_since = now if self._open_since is None else self._open_since
            longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**self._trips)
            self._reopens_at = now + longest * random.uniform(0.5, 1)  # noqa: S311 - spreads shards, hides nothing
            self._trips += 1
            self._reason, self._message = reason, message
        self._tell(reason, message)

    def abandoned(self, entry: Entry) -> None:
        """A call that had entered was not made after all."""
        with self._lock:
            self._ended(entry)

    def _ended(self, entry: Entry) -> bool:
        """Whether it was the probe; another may look then."""
        if self._probe is not entry:
            return False
        self._probe = None
        return True
